"""Plan a study and run one cell of it, every epoch committed to the store."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.device import describe_device
from fire_core.campaign import derive_seed
from fire_core.errors import StoreError
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.study.cells import (
    ALL,
    Cell,
    describe_space,
    identify_cell,
    plan_cells,
    settings_of,
)
from fire_core.study.choose import choose_frames, map_pool, split_chosen
from fire_core.study.results import Baseline, CellResult
from fire_core.training.data import TrainingData, sample_evenly
from fire_core.training.trainer import fine_tune
from tasks.study_inputs import Inputs, enter_study, share_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fire_core.config.study import StudyConfig
    from fire_core.records import EpochRecord, JsonDict
    from fire_core.storage.store import Store

PLAN: Final = "plan"
TEST: Final = "test"
FAILURE: Final = "failure"
REFERENCE_FRAMES: Final = 64  # of the pool, for the foundation's energy constants


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell and the hash of all that its errors depend on."""

    id: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells of a study and what they stand on.

    `cells` are in the order in which they are run; the numbers count frames, for
    `repeats` and `leaks` see `fire_core.study.data.Frames`.
    """

    cells: tuple[PlannedCell, ...]
    baseline: Baseline
    n_pool: int
    n_test: int
    repeats: int
    leaks: int
    left_out: int


def list_cells(config: StudyConfig, inputs: Inputs) -> tuple[PlannedCell, ...]:
    """Return the cells of a study with their identities."""
    cells = plan_cells(config, len(inputs.frames.pool))
    return tuple(PlannedCell(identify_cell(c, config, inputs.shared), c) for c in cells)


def prepare(store: Store, config: StudyConfig) -> Plan:
    """Enter a study and its plan in the store; judge the foundation model."""
    inputs = share_inputs(store, config)
    cells = list_cells(config, inputs)
    enter_study(store, config)
    plan = Plan(
        cells,
        _baseline(store, config, inputs),
        len(inputs.frames.pool),
        len(inputs.frames.test),
        inputs.frames.repeats,
        inputs.frames.leaks,
        inputs.left_out,
    )
    store.save_evaluation(config.key, PLAN, PLAN, json.dumps(asdict(plan)))
    return plan


def read_plan(store: Store, config: StudyConfig) -> Plan:
    """Return the plan that `prepare` left."""
    row = store.get_evaluation(config.key, PLAN, PLAN)
    if row is None:
        msg = f"study {config.name!r} was never started; use `fire study run FILE`"
        raise StoreError(msg)
    raw = json.loads(row.result_json)
    cells = tuple(PlannedCell(c["id"], Cell(**c["cell"])) for c in raw["cells"])
    return Plan(**(raw | {"cells": cells, "baseline": Baseline(**raw["baseline"])}))


def finished_cells(
    store: Store, config: StudyConfig, cells: Sequence[PlannedCell]
) -> list[CellResult]:
    """Return what the finished ones among the cells gave, in their order."""
    rows = {
        row.model: row.result_json
        for row in store.list_evaluations(config.key)
        if row.dataset == TEST
    }
    return [CellResult(**json.loads(rows[c.id])) for c in cells if c.id in rows]


def failed_cells(
    store: Store, config: StudyConfig, cells: Sequence[PlannedCell]
) -> dict[str, str]:
    """Return why cells failed that have not succeeded since, by their names."""
    evaluations = store.list_evaluations(config.key)
    rows = {(row.model, row.dataset): row.result_json for row in evaluations}
    return {
        c.cell.name: str(json.loads(rows[c.id, FAILURE])["reason"])
        for c in cells
        if (c.id, FAILURE) in rows and (c.id, TEST) not in rows
    }


def run_cell(
    store: Store,
    config: StudyConfig,
    planned: PlannedCell,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> CellResult:
    """Train and judge a cell, or what is left of it; a finished one is only read."""
    known = finished_cells(store, config, [planned])
    if known:
        return known[0]
    inputs = share_inputs(store, config)
    cell = planned.cell
    if identify_cell(cell, config, inputs.shared) != planned.id:
        msg = (
            f"the data or the model of study {config.name!r} changed while it ran; "
            "start `fire study run` again"
        )
        raise StoreError(msg)
    start = time.monotonic()
    space, seconds = _space(store, config, inputs, cell)
    picked = choose_frames(cell, len(inputs.frames.pool), space)
    seconds += time.monotonic() - start
    model = _train(store, config, inputs, planned, (picked, on_epoch))
    result = _judge(store, config, inputs, planned, seconds, model)
    store.save_evaluation(config.key, planned.id, TEST, json.dumps(asdict(result)))
    store.release_checkpoints(config.key, planned.id)
    return result


def note_failure(
    store: Store, config: StudyConfig, planned: PlannedCell, reason: str
) -> None:
    """Keep why a cell failed; the next run tries it again."""
    store.save_evaluation(
        config.key, planned.id, FAILURE, json.dumps({"reason": reason})
    )


def _train(
    store: Store,
    config: StudyConfig,
    inputs: Inputs,
    planned: PlannedCell,
    how: tuple[list[int], Callable[[EpochRecord], None] | None],
) -> JsonDict:
    """Train a cell's model into the store; return what is noted beside it."""
    known = store.get_model(config.key, planned.id)
    if known is not None:
        return dict(json.loads(known.config_json))
    picked, on_epoch = how
    settings = settings_of(config, planned.cell.variant)
    chosen = [inputs.frames.pool[i] for i in picked]
    train, valid = split_chosen(chosen, settings.valid_fraction, planned.cell.seed)
    last = store.last_epoch(config.key, planned.id)
    checkpoint = None
    if last is not None and last.checkpoint_sha is not None:
        checkpoint = store.blobs.get_bytes(last.checkpoint_sha)

    def commit(record: EpochRecord, state: bytes) -> None:
        store.save_epoch(
            config.key, planned.id, record.epoch, json.dumps(asdict(record)), state
        )
        if on_epoch is not None:
            on_epoch(record)

    replay = inputs.replay[planned.cell.variant]
    # Forgetting is judged afterwards for every variant alike; only early stopping asks
    # for it after each epoch, which costs time that is none of the others'.
    watched = inputs.heldout if settings.stopping is not None else []
    tuned = fine_tune(
        inputs.foundation,
        TrainingData(train, valid, replay, watched),
        settings,
        seed=derive_seed(planned.cell.seed, "study", "train"),
        checkpoint=checkpoint,
        on_epoch=commit,
    )
    facts: JsonDict = {
        "cell": asdict(planned.cell),
        "settings": settings.model_dump(mode="json"),
        "references": asdict(tuned.references),
        "pool_frames": picked,
        "n_train": len(train),
        "n_valid": len(valid),
        "kept_epoch": tuned.kept,
        "device": describe_device(inputs.foundation.device),
    }
    sha = store.blobs.put_bytes(tuned.model)
    store.add_model(
        config.key,
        planned.id,
        sha,
        parent_sha=inputs.foundation.sha256,
        config_json=json.dumps(facts),
    )
    return facts


def _judge(
    store: Store,
    config: StudyConfig,
    inputs: Inputs,
    planned: PlannedCell,
    selection_seconds: float,
    facts: JsonDict,
) -> CellResult:
    sha = store.need_model(config.key, planned.id).blob_sha
    model = inputs.foundation.reload(store.blobs.path(sha))
    test = inputs.frames.test
    errors = summarise_errors(model.predict([item.atoms for item in test]), test)
    baseline = _baseline(store, config, inputs)
    after = None
    if inputs.heldout:
        after = measure_forgetting(model, inputs.heldout).force_mae
    epochs = store.get_epochs(config.key, planned.id)
    records = [json.loads(row.record_json) for row in epochs]
    seconds = sum(r["seconds"] for r in records)
    seen = sum(r["n_target"] + r["n_replay"] for r in records)
    cell = planned.cell
    return CellResult(
        id=planned.id,
        variant=cell.variant,
        labels=cell.labels,
        selection=cell.selection,
        seed=cell.seed,
        n_train=facts["n_train"],
        n_valid=facts["n_valid"],
        energy_rmse_mev_per_atom=errors.energy_rmse,
        energy_mae_mev_per_atom=errors.energy_mae,
        force_rmse_mev_per_angstrom=errors.force_rmse,
        force_mae_mev_per_angstrom=errors.force_mae,
        forgetting_before_mev_per_angstrom=baseline.forgetting_mev_per_angstrom,
        forgetting_after_mev_per_angstrom=after,
        train_seconds=seconds,
        selection_seconds=selection_seconds,
        frames_per_second=seen / max(seconds, 1e-9),
        epochs=len(records),
        kept_epoch=facts["kept_epoch"],
        device=facts["device"],
        model=sha,
    )


def _space(
    store: Store, config: StudyConfig, inputs: Inputs, cell: Cell
) -> tuple[NDArray[np.float64] | None, float]:
    """Return the pool in the space of selection, and the seconds that it took.

    It is made once and kept; a random choice needs none.
    """
    if cell.selection in {ALL, "random"}:
        return None, 0.0
    words = json.dumps([inputs.shared.pool, describe_space(config)], sort_keys=True)
    key = f"space-{_short(words)}"
    row = store.get_evaluation(config.key, "pool", key)
    if row is None:
        start = time.monotonic()
        space = map_pool(inputs.frames.pool, config)
        facts = {
            "blob": store.blobs.put_bytes(space.astype("<f8").tobytes()),
            "shape": space.shape,
            "seconds": time.monotonic() - start,
        }
        store.save_evaluation(config.key, "pool", key, json.dumps(facts))
        return space, 0.0  # the caller's clock ran
    facts = json.loads(row.result_json)
    data = store.blobs.get_bytes(str(facts["blob"]))
    space = np.frombuffer(data, "<f8").reshape(facts["shape"])
    return space, float(facts["seconds"])


def _baseline(store: Store, config: StudyConfig, inputs: Inputs) -> Baseline:
    """Judge the foundation model, once for the same frames."""
    shared = inputs.shared
    words = [shared.backbone, shared.dtype, shared.pool, shared.test, shared.heldout]
    key = f"baseline-{_short('|'.join(words))}"
    row = store.get_evaluation(config.key, "foundation", key)
    if row is not None:
        return Baseline(**json.loads(row.result_json))
    model, test = inputs.foundation, inputs.frames.test
    fitted = sample_evenly(inputs.frames.pool, REFERENCE_FRAMES)
    shift = fit_references(fitted, model.predict([i.atoms for i in fitted])).shift
    frames = [item.atoms for item in test]
    predicted = shift_energies(model.predict(frames), frames, shift)
    errors = summarise_errors(predicted, test)
    forgetting = None
    if inputs.heldout:
        forgetting = measure_forgetting(model, inputs.heldout).force_mae
    result = Baseline(
        errors.energy_rmse, errors.force_rmse, forgetting, len(inputs.heldout)
    )
    store.save_evaluation(config.key, "foundation", key, json.dumps(asdict(result)))
    return result


def _short(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]
