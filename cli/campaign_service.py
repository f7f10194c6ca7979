"""`fire campaign submit` and `approve`: campaigns that run on a service."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.prefect_run import set_prefect_defaults
from fire_core.config.load import load_campaign
from fire_core.errors import FireError, StoreError
from fire_core.records import Decided
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from fire_core.storage.approvals import ApprovalRow


def submit(
    file: Annotated[Path, typer.Argument(help="Campaign file, YAML.")],
    as_json: AsJson = False,
) -> None:
    """Start a campaign on the service of PREFECT_API_URL, and return at once.

    Where the file does not say it, the service's own store and report folder are used.
    Structure files must lie where its workers see them under the same path.
    """
    config = load_campaign(file)
    set_prefect_defaults()
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import get_current_settings

    api = get_current_settings().api.url
    if api is None:
        msg = (
            "no service to submit to: export PREFECT_API_URL=http://HOST:4200/api, or "
            "run the campaign here with `fire campaign run`"
        )
        raise FireError(msg)
    given = config.model_dump(mode="json", exclude_unset=True)
    given.setdefault("owner", getpass.getuser())
    try:
        run: Any = run_deployment(
            "fire-campaign/campaign",
            parameters={"config": given},
            flow_run_name=config.name,
            tags=[f"campaign:{config.name}", "fire-campaign"],
            timeout=0,
            as_subflow=False,
        )
    except ObjectNotFound as error:
        msg = f"nothing is deployed at {api}: `fire deploy` does it"
        raise FireError(msg) from error
    except httpx.HTTPError as error:
        msg = f"the Prefect server at {api} does not answer: {error}"
        raise FireError(msg) from error
    page = f"{api.removesuffix('/api')}/runs/flow-run/{run.id}"
    if as_json:
        facts = {"campaign": config.name, "flow_run": str(run.id), "page": page}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"campaign {config.name} is submitted: {page}")


def pending(
    as_json: AsJson = False, db: Database = DEFAULT_DB, blobs: Blobs = DEFAULT_BLOBS
) -> None:
    """List the labels that wait for approval, with their price."""
    with Store.open(db, blobs) as store:
        rows = _pending(store)
    if as_json:
        typer.echo(json.dumps([_facts(row) for row in rows]))
        return
    Console().print(_table(rows) if rows else "nothing is pending")


def approve(
    name: Annotated[str, typer.Argument(help="Campaign; `fire campaign pending`.")],
    labels: Annotated[
        int | None, typer.Option(min=0, help="Only the first so many; 0 rejects.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Approve the labels that a campaign waits for; the campaign then goes on."""
    with Store.open(db, blobs) as store:
        rows = [row for row in _pending(store) if row.campaign == name]
        if not rows:
            others = sorted({row.campaign for row in _pending(store)})
            msg = (
                f"campaign {name!r} waits for no approval (waiting: "
                f"{', '.join(others) or 'none'})"
            )
            raise StoreError(msg)
        if not as_json:
            Console().print(_table(rows))
        decided = Decided(labels, getpass.getuser(), reason)
        row = store.approvals.decide(name, rows[0].round, rows[0].purpose, decided)
    told = _resume(row)
    if as_json:
        decision = {"state": row.state.value, "approved": row.n_approved, "run": told}
        typer.echo(json.dumps(_facts(row) | decision))
        return
    typer.echo(f"{row.n_approved} of {row.n_asked} labels {row.state}; {told}")


def _pending(store: Store) -> list[ApprovalRow]:
    rows = store.approvals.list()
    return [row for row in rows if row.state is ApprovalState.PENDING]


def _facts(row: ApprovalRow) -> dict[str, Any]:
    return {
        "campaign": row.campaign,
        "round": row.round,
        "purpose": row.purpose,
        "labels": row.n_asked,
        "asked_at": row.asked_at,
        **json.loads(row.price_json),
    }


def _table(rows: list[ApprovalRow]) -> Table:
    table = Table("campaign", "round", "labels of", "number", "core-hours", "spent")
    for row in rows:
        price = json.loads(row.price_json)
        hours = price.get("core_hours")
        table.add_row(
            row.campaign,
            str(row.round),
            row.purpose,
            str(row.n_asked),
            "unknown" if hours is None else f"{hours:.3g}",
            f"{price.get('spent_core_hours', 0):.3g}",
        )
    return table


def _resume(row: ApprovalRow) -> str:
    """Resume the campaign's run where it is suspended on a service."""
    set_prefect_defaults()
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    from cli.service.resume import resume_campaign

    if get_current_settings().api.url is None:
        return "a campaign that runs here goes on by itself"
    try:
        with get_client(sync_client=True) as client:
            return resume_campaign(client, row).value
    except (httpx.HTTPError, FireError) as error:
        return f"its run could not be resumed ({error}); resume it in Prefect's UI"
