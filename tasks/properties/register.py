"""Enter a measurement in the store: its model and structure by what they hold."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.registry import load_backbone, model_file
from fire_core.campaign.state import PATIENCE_S
from fire_core.config.properties.impedance import (
    ImpedanceConfig,
    TransportConductivity,
)
from fire_core.config.properties.kinds import needs_of
from fire_core.config.properties.request import CrystalSystem, PropertyRequest
from fire_core.config.system import SlabConfig
from fire_core.errors import PropertyError
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.store import Store
from fire_core.structures.crystals import build_bulk
from fire_core.structures.interfaces import build_system
from tasks.properties.bench import PropertyRef, file_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

    from fire_core.records import JsonDict

NOT_IN_THE_KEY = {"name", "threads", "store", "results", "system", "backbone"}
"""Settings that the result does not depend on, or that enter it as content."""


@task(name="register-property", task_run_name="register-{request.name}")
def register_property(request: PropertyRequest) -> PropertyRef:
    """Enter a measurement, or find it there: the same content is the same one.

    Raises
    ------
    UnknownElementError
        The model does not know an element of the structure.
    PropertyError
        The file of the structure holds more than one, or another file is missing.
    StoreError
        The measurement that this one goes on from is missing or unfinished.
    """
    needs = needs_of(request.measure)
    files = {path: _read(path) for path in needs.files}
    url, blobs = request.store.url, request.store.blobs
    with Store.open(url, blobs, patience_s=PATIENCE_S) as store:
        subject = _find_subject(store, request, files)
        settings = request.model_dump(mode="json", exclude=NOT_IN_THE_KEY)
        key = _identify(request, subject, settings, files)
        for name in needs.afterwards:
            del settings["measure"][name]
        store.properties.open(
            PropertyAsked(
                key=key,
                name=request.name,
                work=_identify(request, subject, settings, files),
                kind=request.measure.kind,
                subject=subject.name,
                subject_sha=subject.sha,
                structure=subject.structure,
                formula=subject.formula,
                request_json=request.model_dump_json(),
            )
        )
        for path, data in files.items():
            store.properties.save_part(key, file_part(path), data)
    return PropertyRef(key=key, name=request.name, db=url, blobs=blobs)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a property is of; see `PropertyAsked`. `settings` are those of the model."""

    name: str
    sha: str
    formula: str
    structure: str | None = None
    settings: JsonDict | None = None


def _identify(
    request: PropertyRequest,
    subject: _Subject,
    settings: JsonDict,
    files: Mapping[str, bytes],
) -> str:
    """Return the sha256 of settings, model, structure and files."""
    parts = [settings, subject.settings, subject.sha, subject.structure]
    machine = needs_of(request.measure).machine
    parts += [f"{request.threads} threads"] if machine else []
    text = json.dumps(parts, sort_keys=True)
    for path, data in files.items():  # by content, wherever they are
        sha = hashlib.sha256(data).hexdigest()
        text = text.replace(json.dumps(path), json.dumps(sha))
    return hashlib.sha256(text.encode()).hexdigest()


def _find_subject(
    store: Store, request: PropertyRequest, files: Mapping[str, bytes]
) -> _Subject:
    """Return the model and structure, or what else a measurement is of."""
    measure = request.measure
    if needs_of(measure).model:
        atoms = build_structure(request)
        sha = _keep_model(store, request, atoms)
        (key,) = store.structures.add([atoms], source=f"property {request.name}")
        backbone = request.need_backbone()
        settings = backbone.model_dump(mode="json", exclude={"name"})
        formula = atoms.get_chemical_formula()
        return _Subject(backbone.name, sha, formula, key, settings)
    if isinstance(measure, ImpedanceConfig):
        source = measure.conductivity
        if isinstance(source, TransportConductivity):
            row = store.properties.need(source.measurement)
            asked = row.asked
            if asked.kind != "transport":
                msg = (
                    f"expected a measurement of transport, {asked.name} is of the kind "
                    f"{asked.kind}; `fire properties list --kind transport` lists them"
                )
                raise PropertyError(msg)
            row.need_result()
            return _Subject(asked.name, asked.key, asked.formula)
    content = hashlib.sha256(b"".join(files.values())).hexdigest()
    words = ", ".join(Path(path).stem for path in files) or "no structure"
    return _Subject("given", content, words[:255])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}; check its path"
        raise PropertyError(msg) from error


def build_structure(request: PropertyRequest) -> Atoms:
    """Return the one structure that a request is about."""
    system = request.system
    if system is None:
        msg = f"{request.name} needs a `system`, the structure that is measured"
        raise PropertyError(msg)
    if isinstance(system, CrystalSystem):
        slab = SlabConfig(crystal=system.crystal, x=system.x, order=system.order)
        return build_bulk(slab).atoms.repeat(system.repeat)
    found = build_system(system, Path())
    if len(found) != 1:
        msg = (
            f"expected one structure, got {len(found)}; choose one by `system.index`, "
            "such as '0'"
        )
        raise PropertyError(msg)
    return found[0]


def _keep_model(store: Store, request: PropertyRequest, atoms: Atoms) -> str:
    """Return the sha256 of the model's file, which the store keeps from now on."""
    asked_for = name = request.need_backbone().name
    campaign, _, model = name.partition("/")
    if model and not Path(name).is_file() and store.campaigns.get(campaign) is not None:
        name = str(store.blobs.path(store.models.need(campaign, model).blob_sha))
    backbone = load_backbone(name, device="cpu")
    refuse_unknown_elements([atoms], backbone.elements, asked_for)
    file = model_file(name)
    return backbone.sha256 if file is None else store.blobs.put_file(file)
