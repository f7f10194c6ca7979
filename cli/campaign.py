"""`fire campaign`: run a campaign, see how far it is, write its report."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.campaign_service import approve, pending, submit
from cli.explain import explain
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.prefect_run import set_prefect_defaults, show_expected_errors_once
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.config.load import load_campaign
from fire_core.errors import StoreError
from fire_core.progress import Work
from fire_core.storage.store import Store

app = typer.Typer(no_args_is_help=True)
app.command()(submit)
app.command()(pending)
app.command()(approve)
app.command()(explain)


@app.command()
def run(file: Annotated[Path, typer.Argument(help="Campaign file, YAML.")]) -> None:
    """Run a campaign, or what is left of it.

    Without a configured Prefect server a temporary one is started. Stop it at any
    time; the same command goes on where it was.
    """
    config = load_campaign(file)
    if not config.owner:
        config = config.model_copy(update={"owner": getpass.getuser()})
    _need_backbone(config.backbone.name)
    set_prefect_defaults()
    with Work(f"campaign {config.name}"):
        from flows.campaign import campaign_flow

        show_expected_errors_once()
        page = Path(campaign_flow(config))
    console = Console()
    console.print(
        _results_table(json.loads((page.parent / "results.json").read_text()))
    )
    console.print(f"report: {page}", highlight=False)
    console.print(f"numbers: {page.parent / 'results.json'}", highlight=False)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Name of the campaign.")],
    folder: Annotated[Path | None, typer.Option(help="Where to write it.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Write the report of a finished campaign again."""
    from fire_core.campaign.campaign import Campaign
    from fire_core.campaign.reference import CampaignRef

    if name.startswith(STUDY_PREFIX):
        msg = f"{name!r} is a study; use `fire study report {name}`"
        raise StoreError(msg)
    ref = CampaignRef(name=name, db=db, blobs=blobs)
    with Campaign.find(ref, patience_s=0.0) as campaign:
        typer.echo(campaign.report(folder))


@app.command("list")
def list_campaigns(
    db: Database = DEFAULT_DB, blobs: Blobs = DEFAULT_BLOBS, as_json: AsJson = False
) -> None:
    """List campaigns: their round, labels, models and cost."""
    from fire_core.campaign.views.overview import list_campaigns as list_stored
    from fire_core.campaign.views.overview import read_lines

    with Store.open(db, blobs) as store:
        lines = read_lines(store, list_stored(store))
        labels = {line.name: len(store.labels.history(line.name)) for line in lines}
    if as_json:
        found = {line.name: [name for name, _ in line.models] for line in lines}
        typer.echo(json.dumps(found))
        return
    table = Table("campaign", "round", "labels", "models", "core-hours")
    for line in lines:
        table.add_row(
            *(line.name, str(line.round), str(labels[line.name])),
            ", ".join(name for name, _ in line.models) or "none yet",
            f"{line.core_s / 3600:.3g}",
        )
    Console().print(table if lines else f"no campaign in {db}")


def _need_backbone(name: str) -> None:
    """Raise where a backbone's environment is missing, before anything is started."""
    from fire_core.backbones.registry import backbone_interpreter

    backbone_interpreter(name)


def _results_table(results: dict[str, dict[str, dict[str, float]]]) -> Table:
    table = Table(
        "model", "energy RMSE\nmeV/atom", "force RMSE\nmeV/Å", "forgetting\nmeV/Å"
    )
    keys = (
        "energy_rmse_mev_per_atom",
        "force_rmse_mev_per_angstrom",
        "forgetting_force_mae_mev_per_angstrom",
    )
    for name in ("zero_shot", "pre_fine_tuned", "vanilla", "fire"):
        scores = results["models"].get(name)
        if scores is not None:
            table.add_row(name, *(f"{scores[key]:.1f}" for key in keys))
    return table
