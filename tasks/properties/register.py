"""Enter a measurement in the store: its model and structure by what they hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.registry import CHGNET, load_backbone, model_file
from fire_core.config.properties.request import CrystalSystem, PropertyRequest
from fire_core.config.system import SlabConfig
from fire_core.errors import PropertyError
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.store import Store
from fire_core.structures.crystals import build_bulk
from fire_core.structures.interfaces import build_system
from tasks.context import PATIENCE_S
from tasks.properties.bench import PropertyRef

if TYPE_CHECKING:
    from ase import Atoms

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
        The file holds more than one structure.
    """
    atoms = build_structure(request)
    url, blobs = request.store.url, request.store.blobs
    with Store.open(url, blobs, patience_s=PATIENCE_S) as store:
        sha = _keep_model(store, request, atoms)
        (structure,) = store.add_structures([atoms], source=f"property {request.name}")
        settings = request.model_dump(mode="json", exclude=NOT_IN_THE_KEY)
        backbone = request.backbone.model_dump(mode="json", exclude={"name"})
        parts = [settings, backbone, sha, structure]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        store.open_property(
            PropertyAsked(
                key=key,
                name=request.name,
                kind=request.measure.kind,
                subject=request.backbone.name,
                subject_sha=sha,
                structure=structure,
                formula=atoms.get_chemical_formula(),
                request_json=request.model_dump_json(),
            )
        )
    return PropertyRef(key=key, name=request.name, db=url, blobs=blobs)


def build_structure(request: PropertyRequest) -> Atoms:
    """Return the one structure that a request is about."""
    system = request.system
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
    name = request.backbone.name
    campaign, _, model = name.partition("/")
    if model and not Path(name).is_file() and store.get_campaign(campaign) is not None:
        name = str(store.blobs.path(store.need_model(campaign, model).blob_sha))
    backbone = load_backbone(name, device="cpu")
    refuse_unknown_elements([atoms], backbone.elements, request.backbone.name)
    if name == CHGNET:
        return backbone.sha256
    return store.blobs.put_file(model_file(name))
