"""The steps of a study: prepare it, run its cells, write and show its report."""

from __future__ import annotations

import base64
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from fire_core.campaign.studies.study import Study
from fire_core.config.study import StudyConfig
from fire_core.report.study_report import COLUMNS, show_metric
from tasks.observer import PrefectObserver


@task(name="prepare-study", task_run_name="prepare-{config.name}")
def prepare_study(config: StudyConfig) -> list[tuple[int, str]]:
    """Enter a study in the store; return number and name of the cells to run."""
    return Study(config, PrefectObserver()).prepare()


@task(name="study-cell", task_run_name="{name}")
def run_study_cell(config: StudyConfig, number: int, name: str) -> bool:  # noqa: ARG001
    """Run one cell, or what is left of it; `name` is for Prefect's pages."""
    return Study(config, PrefectObserver()).run_cell(number)


@task(name="write-study", task_run_name="report-{config.name}")
def write_study_report(config: StudyConfig) -> str:
    """Write the report of what is finished; return the path of its page."""
    return str(Study(config).report())


@task(name="publish-study", task_run_name="figures-{config.name}")
def publish_study(config: StudyConfig, page: str) -> None:
    """Show the table and the figures in Prefect's UI."""
    rows = [
        {"variant": p.variant, "selection": p.selection, "labels": p.labels}
        | {head: show_metric(p, metric) for head, metric in COLUMNS}
        for p in Study(config).points()
    ]
    create_table_artifact(rows, key=f"table-{config.key}", description=config.name)
    text = Path(page).read_text(encoding="utf-8")
    for picture in Path(page).parent.glob("study_*.png"):
        data = base64.b64encode(picture.read_bytes()).decode()
        text = text.replace(f"({picture.name})", f"(data:image/png;base64,{data})")
    create_markdown_artifact(text, key=config.key, description=config.name)
