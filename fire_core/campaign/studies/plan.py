"""The plan of a study: its cells, what they stand on, and which are finished."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.campaign.studies.inputs import enter_study, share_inputs
from fire_core.errors import StoreError
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.storage.evaluation_kinds import EvaluationKind, dataclass_kind
from fire_core.study.cells import Cell, identify_cell, plan_cells
from fire_core.study.results import Baseline, CellResult
from fire_core.training.data import sample_evenly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.studies.inputs import Inputs
    from fire_core.config.study import StudyConfig
    from fire_core.storage.store import Store

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


@dataclass(frozen=True, slots=True)
class CellFailure:
    """Why a cell failed."""

    reason: str


PLAN: Final[EvaluationKind[Plan]] = dataclass_kind("study_plan", Plan)
"""Of the last run."""
CELL: Final[EvaluationKind[CellResult]] = dataclass_kind("study_cell", CellResult)
"""By identity of the cell."""
FAILURE: Final[EvaluationKind[CellFailure]] = dataclass_kind(
    "study_failure", CellFailure
)
"""By identity of the cell."""
BASELINE: Final[EvaluationKind[Baseline]] = dataclass_kind("study_baseline", Baseline)
"""By a digest of the frames and the model."""


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
        read_baseline(store, config, inputs),
        len(inputs.frames.pool),
        len(inputs.frames.test),
        inputs.frames.repeats,
        inputs.frames.leaks,
        inputs.left_out,
    )
    store.evaluations.save(PLAN, config.key, plan)
    return plan


def read_plan(store: Store, config: StudyConfig) -> Plan:
    """Return the plan that `prepare` left.

    Raises
    ------
    StoreError
        The study was never started.
    """
    plan = store.evaluations.get(PLAN, config.key)
    if plan is None:
        msg = f"study {config.name!r} was never started; use `fire study run FILE`"
        raise StoreError(msg)
    return plan


def finished_cells(
    store: Store, config: StudyConfig, cells: Sequence[PlannedCell]
) -> list[CellResult]:
    """Return what the finished ones among the cells gave, in their order."""
    found = store.evaluations.list(CELL, config.key)
    results = {row.subject: row.value for row in found}
    return [results[c.id] for c in cells if c.id in results]


def failed_cells(
    store: Store, config: StudyConfig, cells: Sequence[PlannedCell]
) -> dict[str, str]:
    """Return why cells failed that have not succeeded since, by their names."""
    done = {row.subject for row in store.evaluations.list(CELL, config.key)}
    failures = store.evaluations.list(FAILURE, config.key)
    why = {row.subject: row.value.reason for row in failures}
    return {c.cell.name: why[c.id] for c in cells if c.id in why and c.id not in done}


def read_baseline(store: Store, config: StudyConfig, inputs: Inputs) -> Baseline:
    """Return the errors of the foundation model, measured once for the same frames."""
    shared = inputs.shared
    words = [shared.backbone, shared.dtype, shared.pool, shared.test, shared.heldout]
    key = digest("|".join(words))
    known = store.evaluations.get(BASELINE, config.key, subject=key)
    if known is not None:
        return known
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
    store.evaluations.save(BASELINE, config.key, result, subject=key)
    return result


def digest(words: str) -> str:
    """Return the first 16 hex digits of the sha256 of some words."""
    return hashlib.sha256(words.encode()).hexdigest()[:16]
