"""`fire doctor`: examine a file of labels before training on it, or the service."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.elsewhere import continue_elsewhere
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.service.check import check_service
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from fire_core.evaluation.doctor.examine import Examination
    from fire_core.evaluation.doctor.findings import Finding

COLOURS: Final = {"error": "red", "warning": "yellow", "note": "green"}


def doctor(  # noqa: PLR0913, PLR0917 - options of two examinations
    dataset: Annotated[
        Path | None, typer.Argument(help="extxyz with energies and forces.")
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="Model to fine-tune: a name, or a file's path.")
    ] = "fire-mini",
    test: Annotated[
        Path | None,
        typer.Option(help="extxyz of test frames: is DATASET independent of it?"),
    ] = None,
    frames: Annotated[
        int, typer.Option(min=1, help="How many evenly spaced frames to predict.")
    ] = 60,
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0: torch's default.")
    ] = 0,
    service: Annotated[
        bool, typer.Option("--service", help="Examine store, server and workers.")
    ] = False,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Examine labels before training on them, or --service; status 1 on an error.

    The service is examined as it is seen from this machine, with this environment.
    """
    if service == (dataset is not None):
        got = "both" if service else "neither"
        msg = (
            f"expected a file of labels or --service, got {got}: `fire doctor DATASET` "
            "or `fire doctor --service`"
        )
        raise ConfigError(msg)
    if dataset is None:
        if not check_service(db, blobs, as_json=as_json):
            raise typer.Exit(1)
        return
    continue_elsewhere(backbone)
    from fire_core.backbones.registry import load_backbone
    from fire_core.evaluation.doctor.dataset import read_dataset
    from fire_core.evaluation.doctor.examine import examine
    from fire_core.evaluation.doctor.findings import describe_verdict, is_fit

    data = read_dataset(dataset)
    judged_by = None if test is None else read_dataset(test)
    model = load_backbone(backbone, threads=threads)
    result = examine(data, model, test=judged_by, most=frames)
    verdict, fit = describe_verdict(result.findings), is_fit(result.findings)
    if as_json:
        facts = {
            "dataset": str(dataset),
            "backbone": backbone,
            "test": None if test is None else str(test),
            **asdict(result),
            "fit": fit,
            "verdict": verdict,
        }
        typer.echo(json.dumps(facts))
    else:
        _show(result, dataset, backbone, verdict)
    if not fit:
        raise typer.Exit(1)


def _show(result: Examination, dataset: Path, backbone: str, verdict: str) -> None:
    console = Console(highlight=False)
    console.print(
        escape(
            f"{dataset}: {result.n_frames} frames; compared with {backbone}: "
            f"{result.n_sample} evenly spaced and {result.n_suspects} whose labels "
            f"look odd (--frames), of {result.n_known} that it can predict"
        )
    )
    table = Table("", "finding", "what", "frames", "remedy")
    for finding in result.findings:
        colour = COLOURS[finding.severity]
        table.add_row(
            f"[{colour}]{finding.severity}[/{colour}]",
            finding.kind.replace("_", " "),
            escape(finding.what),
            _frames(finding),
            escape(finding.remedy),
        )
    console.print(table)
    console.print(escape(verdict))


def _frames(finding: Finding) -> str:
    if not finding.n_frames:
        return ""
    more = ", …" if finding.n_frames > len(finding.frames) else ""
    named = ", ".join(map(str, finding.frames))
    return f"{finding.n_frames}: {named}{more}"
