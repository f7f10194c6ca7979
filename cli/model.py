"""`fire model`: list, check, promote, roll back and export models."""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.elsewhere import continue_elsewhere
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.backbones.export import ExportFormat
from fire_core.errors import StoreError
from fire_core.storage.promotions import Signature
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.campaign import Campaign as OpenCampaign
    from fire_core.records import GateResult
    from fire_core.storage.promotions import PromotionRow

app = typer.Typer(no_args_is_help=True)

Campaign = Annotated[str, typer.Argument(help="Name of the campaign.")]
Model = Annotated[str, typer.Argument(help="Name of the model, as in `list`.")]


Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]


class FloatType(StrEnum):
    """Floating-point type of an exported model."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


class Stage(StrEnum):
    """Where a promotion leads."""

    STAGING = "staging"
    PRODUCTION = "production"


@app.command("list")
def list_models(
    campaign: Annotated[str | None, typer.Argument(help="Only of this one.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """List models with their states and files."""
    with Store.open(db, blobs) as store:
        known = [c.name for c in store.campaigns.list()]
        if campaign is not None and campaign not in known:
            msg = f"no campaign {campaign!r} in {db}; there: {', '.join(known) or '-'}"
            raise StoreError(msg)
        rows = [
            {
                "campaign": name,
                "model": model.name,
                "state": model.state,
                "trained": _when(model.created_at),
                "sha256": model.blob_sha,
            }
            for name in ([campaign] if campaign else known)
            for model in store.models.list(name)
        ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("campaign", "model", "state", "trained", "sha256")
    for row in rows:
        table.add_row(*(row | {"sha256": row["sha256"][:12]}).values())
    Console().print(table if rows else f"no model in {db}")


@app.command()
def show(
    campaign: Campaign,
    name: Model,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Show a model: its file, how it was trained, its gates and its history."""
    with _open(campaign, db, blobs) as opened:
        model = opened.store.models.need(campaign, name)
        path = opened.model_file(name)
        promotions = opened.store.models.promotions(campaign)
        history = [row for row in promotions if row.model == name]
        gates = opened.known_gates(name)
        neutral = opened.neutral_copy(name)
        copied = opened.store.blobs.path(neutral.blob) if neutral.blob else None
    if as_json:
        facts = asdict(model) | {"config_json": json.loads(model.config_json)}
        facts |= {"path": str(path), "gates": [asdict(g) for g in gates]}
        facts |= {"neutral": asdict(neutral) | {"path": copied and str(copied)}}
        typer.echo(json.dumps(facts | {"history": [asdict(r) for r in history]}))
        return
    from fire_core.campaign.views.models import describe_strategy

    training = json.loads(model.config_json)
    settings = training.get("settings", {})
    console = Console(highlight=False)
    console.print(
        f"{campaign} / {name}: {model.state}, trained {_when(model.created_at)}"
    )
    console.print(f"file: {path}", soft_wrap=True)
    told = f"{copied}" if copied else f"none, {neutral.problem}"
    console.print(f"neutral weights: {told}", soft_wrap=True)
    console.print(f"fine-tuned from sha256 {model.parent_sha}", soft_wrap=True)
    if settings:
        console.print(
            f"strategy {describe_strategy(training)}, epoch "
            f"{training.get('kept_epoch')} of {training.get('epochs')} kept (counted "
            "from 0)"
        )
    if gates:
        console.print(_gate_table(gates))
    else:
        console.print(f"not checked yet: `fire model check {campaign} {name}`")
    if history:
        console.print(_history_table(history))


@app.command()
def check(
    campaign: Campaign,
    name: Model,
    again: Annotated[
        bool, typer.Option("--again", help="Measure again what is known already.")
    ] = False,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Check a model against its campaign's gates; exit status 1 when one fails."""
    with _open(campaign, db, blobs) as opened:
        results = _measure(opened, name, again=again)
        required = opened.config.evaluate.gates.required
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results]))
    else:
        Console().print(_gate_table(results))
    if any(not r.passed for r in results if r.name in required):
        raise typer.Exit(1)


@app.command()
def promote(  # noqa: PLR0913, PLR0917 - options of one command
    campaign: Campaign,
    name: Model,
    to: Annotated[Stage, typer.Option(help="Where to.")] = Stage.STAGING,
    reason: Reason = "",
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Promote a model through its gates; missing ones are measured first.

    A model that reaches production retires the one that is there.
    """
    signed = Signature(getpass.getuser(), reason)
    with _open(campaign, db, blobs) as opened:
        results = _measure(opened, name)
        opened.promote(name, to.value, results, signed)
    if as_json:
        gates = [asdict(result) for result in results]
        typer.echo(json.dumps({"model": name, "state": to.value, "gates": gates}))
        return
    passed = sum(result.passed for result in results)
    typer.echo(
        f"{name} of {campaign} is in {to.value}; it passed {passed} of {len(results)} "
        "gates"
    )


@app.command()
def rollback(
    campaign: Campaign,
    reason: Reason = "",
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Put the previous production model back and retire the present one."""
    signed = Signature(getpass.getuser(), reason)
    with _open(campaign, db, blobs) as opened:
        name = opened.store.models.rollback(campaign, signed=signed)
        path = opened.model_file(name)
    if as_json:
        facts = {"model": name, "state": "production", "path": str(path)}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{name} of {campaign} is in production again: {path}")


@app.command()
def export(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="(CAMPAIGN NAME | BACKBONE) PATH",
            help="A campaign's model, or a backbone's name or file; and where to "
            "write it: a file, for `ase` and `torch-sim` a folder.",
        ),
    ],
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="Who it is for.")
    ] = ExportFormat.MACE,
    dtype: Annotated[
        FloatType, typer.Option(help="Type that it computes in; mace keeps its own.")
    ] = FloatType.FLOAT64,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Write a model for another program, and check what was written."""
    if len(what) == 2:
        continue_elsewhere(what[0])
    from fire_core.campaign.steps.exporting import export_backbone

    match what:
        case [campaign, name, path]:
            with _open(campaign, db, blobs) as opened:
                result = opened.export(name, format_, Path(path), dtype=dtype)
        case [backbone, path]:
            result = export_backbone(backbone, format_, Path(path), dtype=dtype)
        case _:
            msg = f"expected CAMPAIGN NAME PATH or BACKBONE PATH, got {' '.join(what)}"
            raise typer.BadParameter(msg)
    typer.echo(
        f"{result.path}: {result.checked}; {result.n_structures} comparisons agree "
        f"with the original within {1e3 * result.energy_difference:.1g} meV/atom and "
        f"{1e3 * result.force_difference:.1g} meV/Å"
    )
    if result.unchecked:
        typer.echo(f"not checked: {result.unchecked}")
    typer.echo(f"use: {result.usage}")


def _measure(
    campaign: OpenCampaign, name: str, *, again: bool = False
) -> list[GateResult]:
    console = Console(stderr=True)
    with console.status("loading the model") as status:
        return campaign.check_gates(name, again=again, say=status.update)


def _open(campaign: str, db: str, blobs: str) -> OpenCampaign:
    from fire_core.campaign.campaign import Campaign as Opened
    from fire_core.campaign.reference import CampaignRef

    return Opened.find(CampaignRef(name=campaign, db=db, blobs=blobs))


def _gate_table(results: Sequence[GateResult]) -> Table:
    table = Table("gate", "", "measured")
    for r in results:
        mark = "[green]passed[/green]" if r.passed else "[red]failed[/red]"
        table.add_row(r.name, mark, r.text)
    return table


def _history_table(history: Sequence[PromotionRow]) -> Table:
    table = Table("when", "what", "from", "to", "by", "why")
    for row in history:
        table.add_row(
            *(_when(row.at), row.action, row.from_state, row.to_state),
            *(row.actor, row.reason),
        )
    return table


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
