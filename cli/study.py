"""`fire study`: compare trainings over data sizes, selections and seeds."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.elsewhere import continue_elsewhere
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.prefect_run import set_prefect_defaults, show_expected_errors_once
from fire_core.config.campaign import StoreConfig
from fire_core.config.load import load_study, study_schema
from fire_core.errors import StudyError
from fire_core.progress import Work, words_of_time
from fire_core.report.figures import format_short
from fire_core.report.study_report import COLUMNS
from fire_core.storage.store import Store
from fire_core.study.results import FORCE

app = typer.Typer(no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(help="Study file, YAML.")]


@app.command()
def run(file: StudyFile) -> None:
    """Run a study, or what is left of it.

    Finished trainings are not run again: add a seed, a size or a variant to the file
    and only what is new is run. Stop it at any time; the same command goes on.
    """
    config = load_study(file)
    continue_elsewhere(config.backbone.name)
    set_prefect_defaults()
    with Work(f"study {config.name}"):
        from flows.study import study_flow

        show_expected_errors_once()
        page = Path(study_flow(config))
    _show(page)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Name of the study.")],
    folder: Annotated[Path | None, typer.Option(help="Where to write it.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Write the report of what is finished, also while the study runs."""
    from fire_core.campaign.studies.inputs import find_study
    from fire_core.campaign.studies.study import Study

    with Store.open(db, blobs) as store:
        config = find_study(store, name, db)
    here = config.model_copy(update={"store": StoreConfig(url=db, blobs=blobs)})
    _show(Study(here).report(folder))


@app.command()
def check(file: StudyFile, as_json: AsJson = False) -> None:
    """Read the data and the model; say what a run would do and about how long."""
    config = load_study(file)
    continue_elsewhere(config.backbone.name)
    from fire_core.campaign.studies.check import check_study

    found = check_study(config)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    say = functools.partial(Console().print, highlight=False)
    say(f"[green]{file} is a valid study[/green]: {config.name}")
    say(f"{found.pool} frames in the training pool, {found.test} for the test")
    for number, words in (
        (found.repeats, "frames repeat an earlier one and are left out"),
        (found.leaks, "frames equal a test frame and are left out of the pool"),
        (found.left_out, "replay frames have elements that the model does not know"),
    ):
        if number:
            say(f"{number} {words}")
    say(f"forgetting is measured on {found.heldout} pre-training structures")
    sizes = ", ".join(f"{n} on {size} labels" for size, n in found.trainings.items())
    say(f"{found.cells} cells, {found.finished} finished: {sizes}")
    if found.finished == found.cells:
        say("nothing is left to run")
    elif found.seconds is None:
        say("time: unknown until a first cell is finished on this machine")
    else:
        say(f"time: about {words_of_time(found.seconds)} of training for the rest")


@app.command()
def schema() -> None:
    """Print the JSON schema of a study file."""
    typer.echo(json.dumps(study_schema(), indent=2))


def _show(page: Path) -> None:
    """Print a report's means and where it is; fail where a cell failed."""
    found = json.loads((page.parent / "study.json").read_text(encoding="utf-8"))
    heads = [head.replace(", ", "\n") for head, _ in COLUMNS[:4]]
    table = Table("variant", "selection", "labels", "seeds", *heads)
    for point in found["points"]:
        spreads = point["spreads"]
        means = [
            format_short(spreads[metric]["mean"]) if metric in spreads else "–"
            for _, metric in COLUMNS[:4]
        ]
        table.add_row(
            *(point["variant"], point["selection"], str(point["labels"])),
            *(str(spreads[FORCE]["n"]), *means),
        )
    console = Console()
    console.print(table)
    done, planned = found["cells_finished"], found["cells_planned"]
    console.print(f"{done} of {planned} cells finished", highlight=False)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    if found["failures"]:
        lines = [f"  - {name}: {why}" for name, why in found["failures"].items()]
        msg = (
            f"{len(lines)} of {planned} cells failed; the same command tries them "
            "again:\n" + "\n".join(lines)
        )
        raise StudyError(msg)
