"""Tasks of a study: prepare it, run its cells, write and show its report."""

from __future__ import annotations

import base64
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from pydantic import BaseModel, ConfigDict

from fire_core.config.study import StudyConfig
from fire_core.errors import FireError
from fire_core.report.study_report import COLUMNS, StudyReport, show_metric, write_study
from fire_core.storage.store import Store
from fire_core.study.results import aggregate
from tasks.progress import Progress
from tasks.study_cell import (
    Plan,
    failed_cells,
    finished_cells,
    note_failure,
    prepare,
    read_plan,
    run_cell,
)

if TYPE_CHECKING:
    from fire_core.records import EpochRecord

PACKAGES = ("fire-mlip", "mace-torch", "torch", "ase", "dscribe", "scikit-learn")


class CellRef(BaseModel):
    """A cell as it travels between flow and task: its place in the plan, its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    name: str


@task(name="prepare-study", task_run_name="prepare-{config.name}")
def prepare_study(config: StudyConfig) -> list[CellRef]:
    """Enter a study in the store; return the cells that are not finished yet."""
    with Store.open(config.store.url, config.store.blobs) as store:
        plan = prepare(store, config)
        done = {cell.id for cell in finished_cells(store, config, plan.cells)}
    logger = get_run_logger()
    logger.info(
        "%d cells, %d finished before; %d frames in the pool, %d for the test",
        len(plan.cells), len(done), plan.n_pool, plan.n_test,
    )  # fmt: skip
    for sentence in _warnings(plan):
        logger.warning(sentence)
    return [
        CellRef(number=number, name=planned.cell.name)
        for number, planned in enumerate(plan.cells)
        if planned.id not in done
    ]


@task(name="study-cell", task_run_name="{cell.name}")
def run_study_cell(config: StudyConfig, cell: CellRef) -> bool:
    """Run one cell, or what is left of it; False where it failed.

    A failure is kept for the report and does not stop the others.
    """
    logger = get_run_logger()
    with Store.open(config.store.url, config.store.blobs) as store:
        planned = read_plan(store, config).cells[cell.number]
        epochs = config.variants[planned.cell.variant].epochs
        progress = Progress(f"cell-{config.key}", f"Training {cell.name}", epochs)

        def report(record: EpochRecord) -> None:
            progress.reach(record.epoch + 1)
            logger.debug(
                "%s epoch %d: force RMSE %.0f meV/Å (%.1f s)",
                cell.name, record.epoch, record.valid.force_rmse, record.seconds,
            )  # fmt: skip

        try:
            with progress:
                result = run_cell(store, config, planned, report)
        except FireError as error:
            note_failure(store, config, planned, str(error))
            logger.warning("%s failed: %s", cell.name, error)
            return False
    logger.info(
        "%s: energy RMSE %.2f meV/atom, force RMSE %.1f meV/Å, %.0f s of training",
        cell.name, result.energy_rmse_mev_per_atom,
        result.force_rmse_mev_per_angstrom, result.train_seconds,
    )  # fmt: skip
    return True


@task(name="write-study", task_run_name="report-{config.name}")
def write_study_report(config: StudyConfig) -> str:
    """Write the report of what is finished; return the path of its page."""
    return str(write_report_of(config))


@task(name="publish-study", task_run_name="figures-{config.name}")
def publish_study(config: StudyConfig, page: str) -> None:
    """Show the table and the figures in Prefect's UI."""
    with Store.open(config.store.url, config.store.blobs) as store:
        plan = read_plan(store, config)
        points = aggregate(finished_cells(store, config, plan.cells))
    rows = [
        {"variant": p.variant, "selection": p.selection, "labels": p.labels}
        | {head: show_metric(p, metric) for head, metric in COLUMNS}
        for p in points
    ]
    create_table_artifact(rows, key=f"table-{config.key}", description=config.name)
    text = Path(page).read_text(encoding="utf-8")
    for picture in Path(page).parent.glob("study_*.png"):
        data = base64.b64encode(picture.read_bytes()).decode()
        text = text.replace(f"({picture.name})", f"(data:image/png;base64,{data})")
    create_markdown_artifact(text, key=config.key, description=config.name)


def write_report_of(config: StudyConfig, folder: Path | None = None) -> Path:
    """Write the report of a study's finished cells; return the path of its page."""
    with Store.open(config.store.url, config.store.blobs) as store:
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
        versions={name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    )
    return write_study(report, folder or Path(config.folder))


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
