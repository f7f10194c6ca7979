"""A study: trainings compared over data sizes, selections and seeds."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.registry import package_of
from fire_core.campaign.observer import LogObserver
from fire_core.campaign.studies.cell import note_failure, run_cell
from fire_core.campaign.studies.plan import (
    failed_cells,
    finished_cells,
    prepare,
    read_plan,
)
from fire_core.errors import FireError
from fire_core.extensions import installed_versions
from fire_core.report.study_report import StudyReport, write_study
from fire_core.storage.store import Store
from fire_core.study.results import aggregate

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fire_core.campaign.observer import Observer
    from fire_core.campaign.studies.plan import Plan
    from fire_core.config.study import StudyConfig
    from fire_core.records import EpochRecord
    from fire_core.study.results import Point

PACKAGES: Final = (
    *("fire-mlip", "mace-torch", "torch", "ase", "dscribe", "scikit-learn"),
)


class Study:
    """A study and its verbs; each opens the study's store for itself.

    Parameters
    ----------
    config
        Of the study.
    observer
        Hears of what happens; left out: Python's logging.
    """

    def __init__(self, config: StudyConfig, observer: Observer | None = None) -> None:
        self.config = config
        self.observer: Observer = observer or LogObserver()

    def prepare(self) -> list[tuple[int, str]]:
        """Enter the study in its store.

        Returns
        -------
        list[tuple[int, str]]
            Number and name of each cell that is not finished yet.
        """
        with self._store() as store:
            plan = prepare(store, self.config)
            done = {c.id for c in finished_cells(store, self.config, plan.cells)}
        self.observer.info(
            f"{len(plan.cells)} cells, {len(done)} finished before; {plan.n_pool} "
            f"frames in the pool, {plan.n_test} for the test"
        )
        for sentence in _warnings(plan):
            self.observer.warning(sentence)
        return [
            (number, planned.cell.name)
            for number, planned in enumerate(plan.cells)
            if planned.id not in done
        ]

    def run_cell(self, number: int) -> bool:
        """Run one cell, or what is left of it; return whether it succeeded.

        A failure is kept for the report and does not stop the others.
        """
        config, say = self.config, self.observer
        with self._store() as store:
            planned = read_plan(store, config).cells[number]
            name = planned.cell.name
            epochs = config.variants[planned.cell.variant].epochs
            progress = say.progress(f"cell-{config.key}", f"Training {name}", epochs)

            def report(record: EpochRecord) -> None:
                progress.reach(record.epoch + 1)

            try:
                with progress:
                    result = run_cell(store, config, planned, report)
            except FireError as error:
                note_failure(store, config, planned, str(error))
                say.warning(f"{name} failed: {error}")
                return False
        say.info(
            f"{name}: energy RMSE {result.energy_rmse_mev_per_atom:.2f} meV/atom, "
            f"force RMSE {result.force_rmse_mev_per_angstrom:.1f} meV/Å, "
            f"{result.train_seconds:.0f} s of training"
        )
        return True

    def points(self) -> list[Point]:
        """Return what the finished cells say together."""
        with self._store() as store:
            plan = read_plan(store, self.config)
            return aggregate(finished_cells(store, self.config, plan.cells))

    def report(self, folder: Path | None = None) -> Path:
        """Write the report of what is finished; return the path of its page."""
        config = self.config
        with self._store() as store:
            plan = read_plan(store, config)
            cells = finished_cells(store, config, plan.cells)
            failures = failed_cells(store, config, plan.cells)
        report = StudyReport(
            name=config.name,
            config=config.model_dump(mode="json"),
            cells=cells,
            n_cells=len(plan.cells),
            failures=failures,
            baseline=plan.baseline,
            facts=_facts(config, plan),
            versions=installed_versions([*PACKAGES, package_of(config.backbone.name)])
            | {"python": platform.python_version()},
        )
        return write_study(report, folder or Path(config.folder))

    def run(self) -> Path:
        """Run every cell that is left; return the path of the report's page."""
        for number, _ in self.prepare():
            self.run_cell(number)
        return self.report()

    def _store(self) -> AbstractContextManager[Store]:
        return Store.open(self.config.store.url, self.config.store.blobs)


def _facts(config: StudyConfig, plan: Plan) -> list[str]:
    """Return sentences on data, split and model."""
    files = ", ".join(
        Path(d.path).name + (f" (1 frame of {d.every})" if d.every > 1 else "")
        for d in config.data
    )
    test = config.test
    block = f"{test.last}" if test.last else f"{100 * (test.fraction or 0):g} %"
    gap = f" after a gap of {test.gap}" if test.gap else ""
    facts = [
        f"Data: {files}; {plan.n_pool} frames in the training pool, {plan.n_test} for "
        f"the test: the last {block} of each trajectory{gap}.",
        f"Foundation model: {config.backbone.name}; its row in the table has a "
        "constant energy per element fitted and taken out.",
    ]
    if plan.baseline.n_heldout:
        facts.append(
            f"Forgetting: force MAE on {plan.baseline.n_heldout} held-out pre-training "
            f"structures ({Path(config.forgetting_source).name})."
        )
    return facts + _warnings(plan)


def _warnings(plan: Plan) -> list[str]:
    sentences = (
        (plan.repeats, "frames repeat an earlier one and are left out of the pool"),
        (plan.leaks, "frames equal a test frame and are left out of the pool"),
        (plan.left_out, "replay frames have elements that the model does not know"),
    )
    return [f"{number} {words}." for number, words in sentences if number]
