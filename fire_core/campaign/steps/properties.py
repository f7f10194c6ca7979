"""Properties in the store: entered, measured part by part, written to a folder."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from fire_core.campaign.leases import LEASE_S, Lease, hold
from fire_core.campaign.state import PATIENCE_S
from fire_core.campaign.steps.property_models import (
    find_request_interpreter,
    keep_model,
    load_model,
    run_with_model,
)
from fire_core.errors import PropertyError, StoreError
from fire_core.files import file_sha256
from fire_core.labelling.run import check_ready, compute_here
from fire_core.properties.identity import Subject, identify
from fire_core.properties.kinds import KINDS, draw_property
from fire_core.properties.measurement import Measurement
from fire_core.properties.request import PropertyRequest
from fire_core.properties.structure import build_structure
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.trajectory import read_trajectory
from fire_core.properties.values import format_value
from fire_core.report.attempts import attempt_figures
from fire_core.storage.properties import SHARED, PropertyAsked
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.theory import TheoryConfig
    from fire_core.properties.settings import Earlier
    from fire_core.properties.transport.settings import TransportAnalysis
    from fire_core.properties.transport.trajectory import Trajectory
    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles
    from fire_core.storage.properties import PropertyRow


class PropertyRef(BaseModel):
    """A measurement's key and where its store is; travels between flows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    name: str
    db: str
    blobs: str


@dataclass(frozen=True, slots=True)
class TrajectoryFile:
    """A file of frames of one run.

    Attributes
    ----------
    path
        Anything that ASE reads.
    temperature_k
        Target of its thermostat.
    timestep_fs
        Time between its frames.
    """

    path: Path
    temperature_k: float
    timestep_fs: float


class StoredMeasurement:
    """A measurement of the store that this process runs alone.

    It gives the inputs of the measurement and keeps its parts.

    Attributes
    ----------
    asked
        How it is entered in the store.
    lease
        Says that no other process measures it.
    measurement
        What its kind measures with.
    """

    def __init__(
        self,
        store: Store,
        asked: PropertyAsked,
        lease: Lease,
        log: Callable[[str], None],
    ) -> None:
        request = PropertyRequest.model_validate_json(asked.request_json)
        self.asked = asked
        self.lease = lease
        self.measurement = Measurement(request, asked.subject, self, self, log)
        self._store = store
        shared = store.properties.shared_parts(asked.work)
        self._parts = shared | store.properties.parts(asked.key)

    def row(self) -> PropertyRow:
        """Return the measurement as the store has it now."""
        return self._store.properties.need(self.asked.key)

    def finish(self, result: PropertyResult, wall_s: float) -> None:
        """Keep the result."""
        self.lease.check()
        self._store.properties.finish(self.asked.key, result, wall_s)

    def structure(self) -> Atoms:
        """Return the structure that is measured."""
        if self.asked.structure is None:
            msg = f"{self.asked.name} has no structure; measure it with a `system`"
            raise StoreError(msg)
        return self._store.structures.get([self.asked.structure])[0]

    def backbone(self) -> Backbone:
        """Load the model that the measurement was asked for, by its sha256."""
        request, sha = self.measurement.request, self.asked.subject_sha
        return load_model(self._store, request, sha)

    def file(self, path: str) -> bytes:
        """Return what a file of the request held when the measurement was entered."""
        return self._store.blobs.get_bytes(self._parts[_file_part(path)])

    def earlier(self) -> tuple[str, PropertyResult]:
        """Return name and result of the measurement that this one goes on from."""
        row = self._store.properties.need(self.asked.subject_sha)
        return row.asked.name, row.need_result()

    def labeller(self, theory: TheoryConfig) -> Callable[[Atoms], object]:
        """Return a function that computes a label here and keeps nothing."""
        check_ready(theory)

        def label(atoms: Atoms) -> object:
            with tempfile.TemporaryDirectory() as folder:
                return compute_here(theory, atoms, Path(folder))

        return label

    def has(self, name: str, *, shared: bool) -> bool:
        """Return whether a part is done."""
        return _part_name(name, shared=shared) in self._parts

    def read(self, name: str, *, shared: bool) -> bytes:
        """Return a part that is done."""
        return self._store.blobs.get_bytes(self._parts[_part_name(name, shared=shared)])

    def save(self, name: str, data: bytes, *, shared: bool) -> None:
        """Keep a finished part."""
        part = _part_name(name, shared=shared)
        self.lease.check()
        self._parts[part] = self._store.properties.save_part(self.asked.key, part, data)


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
    files = {path: _read(path) for path in request.measure.needs().files}
    url, blobs = request.store.url, request.store.blobs
    with Store.open(url, blobs, patience_s=PATIENCE_S) as store:
        interpreter = find_request_interpreter(store, request)
        if interpreter is not None:
            step, here = register_property, _log_nothing
            found = run_with_model(step, request, request, interpreter, here)
            return cast("PropertyRef", found)
        subject = _find_subject(store, request, files)
        identity = identify(request, subject, files)
        store.properties.open(
            PropertyAsked(
                key=identity.key,
                name=request.name,
                work=identity.work,
                kind=request.measure.kind,
                subject=subject.name,
                subject_sha=subject.sha,
                structure=subject.structure,
                formula=subject.formula,
                request_json=request.model_dump_json(),
            )
        )
        for path, data in files.items():
            store.properties.save_part(identity.key, _file_part(path), data)
    return PropertyRef(key=identity.key, name=request.name, db=url, blobs=blobs)


@contextmanager
def open_measurement(
    ref: PropertyRef, log: Callable[[str], None]
) -> Iterator[StoredMeasurement]:
    """Open a measurement; no two processes have it open at once."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        row = store.properties.get(ref.key)
        if row is None:
            msg = f"no measurement {ref.key} in {ref.db}; ask for it again"
            raise StoreError(msg)
        lease = Lease(
            f"measurement {ref.name!r}",
            lambda owner: store.properties.hold(ref.key, owner, LEASE_S),
            lambda owner: store.properties.release(ref.key, owner),
        )
        with hold(lease, log):
            yield StoredMeasurement(store, row.asked, lease, log)


def measure_property(ref: PropertyRef, say: Callable[[str], None]) -> PropertyResult:
    """Measure, unless the store has the result; finished parts are not repeated."""
    interpreter = _find_interpreter(ref)
    if interpreter is not None:
        found = run_with_model(measure_property, ref, *interpreter, say)
        return cast("PropertyResult", found)
    with open_measurement(ref, say) as stored:
        row = stored.row()
        if row.result is not None:
            say(f"{ref.name} is in the store already")
            return row.result
        start = time.monotonic()
        result = KINDS.load(stored.asked.kind).run(stored.measurement)
        stored.finish(result, time.monotonic() - start)
    for value in result.values:
        say(f"{value.name}: {format_value(value)} {value.note}")
    return result


def _find_interpreter(ref: PropertyRef) -> tuple[PropertyRequest, Path] | None:
    """Return a measurement's request and the Python that computes its model."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        row = store.properties.get(ref.key)
        if row is None or row.result is not None:
            return None
        request = PropertyRequest.model_validate_json(row.asked.request_json)
        interpreter = find_request_interpreter(store, request)
    return None if interpreter is None else (request, interpreter)


def _log_nothing(_: str) -> None:
    """Ignore what is told while a measurement is entered."""


def read_measurement(ref: PropertyRef) -> PropertyRow:
    """Return a measurement as its store has it now."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        return store.properties.need(ref.key)


def write_property(row: PropertyRow, folder: Path) -> list[FigureFiles]:
    """Write a finished measurement's `KIND.json` and figures into a folder.

    A figure that cannot be drawn costs no number: there is none then, and a log line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = row.need_result()
    facts = asdict(row.asked) | {"request_json": json.loads(row.asked.request_json)}
    facts |= {"wall_s": row.wall_s, "result": asdict(result)}
    path = folder / f"{row.asked.kind}.json"
    path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return attempt_figures(lambda: draw_property(row.asked.kind, result, folder))


def analyse_trajectories(
    store: Store,
    files: Sequence[TrajectoryFile],
    settings: TransportAnalysis,
    *,
    name: str,
    theory: str,
) -> str:
    """Analyse, unless the store has the result; return the measurement's key.

    Files of one temperature are replicas. The identity of the measurement is what the
    files hold, their temperatures and times, and the settings.
    """
    shas = [file_sha256(file.path) for file in files]
    facts = [
        {"sha256": sha, "temperature": f.temperature_k, "timestep_fs": f.timestep_fs}
        for sha, f in zip(shas, files, strict=True)
    ]
    request = {"measure": settings.model_dump(mode="json"), "trajectories": facts}
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    row = store.properties.get(key)
    if row is not None and row.result is not None:
        return key
    start = time.monotonic()
    groups: dict[float, list[Trajectory]] = {}
    for file in files:
        run = read_trajectory(file.path, file.timestep_fs)
        groups.setdefault(file.temperature_k, []).append(run)
    notes = [
        f"{file.path.name}: {file.temperature_k:g} K, frames {file.timestep_fs:g} fs "
        "apart, as was said"
        for file in files
    ]
    found = analyse_transport(groups, settings, notes)
    paths = {"files": [str(file.path) for file in files], "theory": theory}
    store.properties.open(
        PropertyAsked(
            key=key,
            name=name,
            work=key,
            kind="transport",
            subject=theory,
            subject_sha=hashlib.sha256("".join(shas).encode()).hexdigest(),
            structure=None,
            formula=found.formula,
            request_json=json.dumps(request | paths),
        )
    )
    store.properties.finish(key, found.result, time.monotonic() - start)
    return key


def _find_subject(
    store: Store, request: PropertyRequest, files: Mapping[str, bytes]
) -> Subject:
    """Return the model and structure, or what else a measurement is of."""
    needs = request.measure.needs()
    if needs.model:
        atoms = build_structure(request)
        sha = keep_model(store, request, atoms)
        (key,) = store.structures.add([atoms], source=f"property {request.name}")
        backbone = request.need_backbone()
        settings = backbone.model_dump(mode="json", exclude={"name"})
        formula = atoms.get_chemical_formula()
        return Subject(backbone.name, sha, formula, key, settings)
    if needs.earlier is not None:
        asked = _need_earlier(store, needs.earlier).asked
        return Subject(asked.name, asked.key, asked.formula)
    content = hashlib.sha256(b"".join(files.values())).hexdigest()
    words = ", ".join(Path(path).stem for path in files) or "no structure"
    return Subject("given", content, words[:255])


def _need_earlier(store: Store, earlier: Earlier) -> PropertyRow:
    row = store.properties.need(earlier.name)
    asked = row.asked
    if asked.kind != earlier.kind:
        msg = (
            f"expected a measurement of {earlier.kind}, {asked.name} is of the kind "
            f"{asked.kind}; `fire properties list --kind {earlier.kind}` lists them"
        )
        raise PropertyError(msg)
    row.need_result()
    return row


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}; check its path"
        raise PropertyError(msg) from error


def _file_part(path: str) -> str:
    """Return the name under which a file of the request is kept with its parts."""
    return f"file-{hashlib.sha256(path.encode()).hexdigest()[:32]}"


def _part_name(name: str, *, shared: bool) -> str:
    return f"{SHARED}{name}" if shared else name
