"""Run one cell of a study, every epoch committed to the store."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.device import describe_device
from fire_core.campaign.observer import LogObserver
from fire_core.campaign.steps.outlasting import keep_neutral
from fire_core.campaign.steps.resumable import train_into_store
from fire_core.campaign.studies.inputs import share_inputs
from fire_core.campaign.studies.plan import (
    CELL,
    FAILURE,
    CellFailure,
    digest,
    finished_cells,
    read_baseline,
)
from fire_core.errors import StoreError
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.seeds import derive_seed
from fire_core.storage.evaluation_kinds import EvaluationKind, dataclass_kind
from fire_core.study.cells import ALL, describe_space, identify_cell, settings_of
from fire_core.study.choose import choose_frames, map_pool, split_chosen
from fire_core.study.results import CellResult
from fire_core.training.data import TrainingData

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fire_core.campaign.studies.inputs import Inputs
    from fire_core.campaign.studies.plan import PlannedCell
    from fire_core.config.study import StudyConfig
    from fire_core.records import EpochRecord, JsonDict
    from fire_core.storage.store import Store
    from fire_core.study.cells import Cell


@dataclass(frozen=True, slots=True)
class Space:
    """A study's pool in the space of selection: its blob, (n, k), and its cost, s."""

    blob: str
    shape: tuple[int, int]
    seconds: float


SPACE: Final[EvaluationKind[Space]] = dataclass_kind("study_space", Space)
"""By a digest of the pool and the settings."""


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
    store.evaluations.save(CELL, config.key, result, subject=planned.id)
    store.models.release_checkpoints(config.key, planned.id)
    return result


def note_failure(
    store: Store, config: StudyConfig, planned: PlannedCell, reason: str
) -> None:
    """Keep why a cell failed; the next run tries it again."""
    store.evaluations.save(FAILURE, config.key, CellFailure(reason), subject=planned.id)


def _train(
    store: Store,
    config: StudyConfig,
    inputs: Inputs,
    planned: PlannedCell,
    how: tuple[list[int], Callable[[EpochRecord], None] | None],
) -> JsonDict:
    """Train a cell's model into the store; return what is noted beside it."""
    known = store.models.get(config.key, planned.id)
    if known is not None:
        return dict(json.loads(known.config_json))
    picked, on_epoch = how
    settings = settings_of(config, planned.cell.variant)
    chosen = [inputs.frames.pool[i] for i in picked]
    train, valid = split_chosen(chosen, settings.valid_fraction, planned.cell.seed)
    replay = inputs.replay[planned.cell.variant]
    # Forgetting is judged afterwards for every variant alike; only early stopping asks
    # for it after each epoch, which costs time that is none of the others'.
    watched = inputs.heldout if settings.stopping is not None else []
    tuned = train_into_store(
        store,
        (config.key, planned.id),
        (inputs.foundation, TrainingData(train, valid, replay, watched)),
        settings,
        seed=derive_seed(planned.cell.seed, "study", "train"),
        on_epoch=on_epoch or (lambda _: None),
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
    store.models.add(
        config.key,
        planned.id,
        sha,
        parent_sha=inputs.foundation.sha256,
        config_json=json.dumps(facts),
    )
    keep_neutral(
        store,
        (config.key, planned.id),
        lambda: inputs.foundation,
        lambda: [item.atoms for item in chosen],
        say=LogObserver().warning,
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
    sha = store.models.need(config.key, planned.id).blob_sha
    model = inputs.foundation.reload(store.blobs.path(sha))
    test = inputs.frames.test
    errors = summarise_errors(model.predict([item.atoms for item in test]), test)
    baseline = read_baseline(store, config, inputs)
    after = None
    if inputs.heldout:
        after = measure_forgetting(model, inputs.heldout).force_mae
    epochs = store.models.epochs(config.key, planned.id)
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
    key = digest(words)
    kept = store.evaluations.get(SPACE, config.key, subject=key)
    if kept is None:
        start = time.monotonic()
        space = map_pool(inputs.frames.pool, config)
        blob = store.blobs.put_bytes(space.astype("<f8").tobytes())
        shape = (len(space), space.shape[1])
        made = Space(blob, shape, time.monotonic() - start)
        store.evaluations.save(SPACE, config.key, made, subject=key)
        return space, 0.0  # the caller's clock ran
    data = store.blobs.get_bytes(kept.blob)
    return np.frombuffer(data, "<f8").reshape(kept.shape), kept.seconds
