"""Say what a run of a study would do, without training anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.campaign.studies.inputs import read_inputs
from fire_core.campaign.studies.plan import finished_cells, list_cells
from fire_core.storage.store import Store
from fire_core.study.cells import estimate_seconds

if TYPE_CHECKING:
    from fire_core.config.study import StudyConfig


@dataclass(frozen=True, slots=True)
class StudyCheck:
    """What a study holds and what is left of it.

    Attributes
    ----------
    cells, finished
        Trainings in all, and those that need not be run.
    trainings
        How many of them learn from how many labels.
    pool, test
        Frames that may be trained on; frames on which all are judged.
    repeats, leaks, left_out
        Frames left out: repeats, pool frames equal to a test frame, replay frames
        with unknown elements.
    heldout
        Held-out pre-training structures on which forgetting is measured.
    seconds
        About how long the trainings left take; None before the first is finished.
    """

    cells: int
    finished: int
    trainings: dict[int, int]
    pool: int
    test: int
    repeats: int
    leaks: int
    left_out: int
    heldout: int
    seconds: float | None


def check_study(config: StudyConfig) -> StudyCheck:
    """Read a study's data and model as a run would; errors as for `read_inputs`."""
    with Store.open(config.store.url, config.store.blobs) as store:
        inputs = read_inputs(store, config)
        cells = list_cells(config, inputs)
        done = finished_cells(store, config, cells)
    rates = {result.variant: result.frames_per_second for result in done}
    finished = {result.id for result in done}
    left = [planned.cell for planned in cells if planned.id not in finished]
    return StudyCheck(
        cells=len(cells),
        finished=len(done),
        trainings=dict(sorted(Counter(c.cell.labels for c in cells).items())),
        pool=len(inputs.frames.pool),
        test=len(inputs.frames.test),
        repeats=inputs.frames.repeats,
        leaks=inputs.frames.leaks,
        left_out=inputs.left_out,
        heldout=len(inputs.heldout),
        seconds=estimate_seconds(left, config, rates),
    )
