"""Measure a property, or what is left of it; keep and show what came out."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign.state import PATIENCE_S
from fire_core.properties.values import format_conditions, format_value
from fire_core.report.properties.draw import draw_property
from fire_core.storage.store import Store
from tasks.properties.bench import PropertyRef, open_bench
from tasks.properties.kinds import find_measure

if TYPE_CHECKING:
    from fire_core.report.figures import FigureFiles
    from fire_core.storage.properties import PropertyRow


@task(name="measure-property", task_run_name="measure-{ref.name}", retries=1)
def measure_property(ref: PropertyRef) -> None:
    """Measure, unless the store has the result; finished parts are not repeated."""
    logger = get_run_logger()
    with open_bench(ref, logger.info) as bench:
        row = bench.row()
        if row.result is not None:
            logger.info("%s is in the store already", ref.name)
            return
        start = time.monotonic()
        result = find_measure(bench.asked.kind)(bench)
        bench.finish(result, time.monotonic() - start)
    for value in result.values:
        logger.info("%s: %s %s", value.name, format_value(value), value.note)


@task(name="publish-property", task_run_name="publish-{ref.name}")
def publish_property(ref: PropertyRef, folder: str) -> None:
    """Write figures and numbers to the results folder; show them in Prefect."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        row = store.properties.need(ref.key)
    figures = write_property(row, Path(folder))
    create_markdown_artifact(
        _markdown(row, figures),
        key=f"property-{ref.name}",
        description=f"{row.asked.kind} of {row.asked.formula} by {row.asked.subject}",
    )


def write_property(row: PropertyRow, folder: Path) -> list[FigureFiles]:
    """Write a finished measurement's `KIND.json` and figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    result = row.need_result()
    facts = asdict(row.asked) | {"request_json": json.loads(row.asked.request_json)}
    facts |= {"wall_s": row.wall_s, "result": asdict(result)}
    path = folder / f"{row.asked.kind}.json"
    path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return draw_property(row.asked.kind, result, folder)


def _markdown(row: PropertyRow, figures: list[FigureFiles]) -> str:
    result = row.need_result()
    lines = ["| property | conditions | value | note |", "|---|---|---|---|"]
    for value in result.values:
        conditions = format_conditions(value.conditions)
        lines.append(
            f"| {value.name} | {conditions} | {format_value(value)} | {value.note} |"
        )
    lines += ["", *(f"- {note}" for note in result.notes), ""]
    for figure in figures:
        data = base64.b64encode(figure.png.read_bytes()).decode()
        lines.append(f"![{figure.png.stem}](data:image/png;base64,{data})")
    return "\n".join(lines)
