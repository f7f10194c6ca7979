"""`fire campaign explain`: why structures were chosen, and what was left out."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.errors import StoreError
from fire_core.storage.store import Store

SELECTED = "selected"
SHOWN = 20


def explain(
    name: Annotated[str, typer.Argument(help="Name of the campaign.")],
    round_: Annotated[
        int | None, typer.Option("--round", help="Which round; left out, the last.")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Every pick, not the first 20.")
    ] = False,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Say why structures were chosen, and which regions stay under-sampled.

    Distances are between frames in the reduced descriptor space, in units of the
    candidates' root-mean-square distance from their mean.
    """
    number, found = _read(name, round_, db, blobs)
    if as_json:
        typer.echo(json.dumps({"campaign": name, "round": number, **found}))
        return
    console = Console()
    console.print(f"{name}, round {number}: {_summary(found)}", highlight=False)
    refused = found["refused"]
    if refused:
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(refused.items()))
        console.print(f"refused by screening: {counts}", highlight=False)
    alarm = found["q_alarm"]
    if alarm and alarm["rings"]:
        console.print(
            f"{alarm['share']:.1%} of the candidates differed from everything learnt "
            f"before, by Q-residual ({alarm['expected']:.1%} would by chance)",
            highlight=False,
        )
    picks = found["picks"]
    console.print(_picks_table(picks if show_all else picks[:SHOWN]))
    if len(picks) > SHOWN and not show_all:
        console.print(f"{len(picks) - SHOWN} more: --all", highlight=False)
    if found["regions"]:
        console.print("under-sampled after this choice, the farthest first:")
        console.print(_regions_table(found["regions"]))


def _read(
    name: str, round_: int | None, db: str, blobs: str
) -> tuple[int, dict[str, Any]]:
    """Return the round and what is known of its choice."""
    with Store.open(db, blobs) as store:
        if store.campaigns.get(name) is None:
            msg = f"no campaign {name!r} in {db}; see `fire campaign list`"
            raise StoreError(msg)
        number = round_ or 1
        row = store.selections.get(name, number, SELECTED)
        while round_ is None and row is not None:
            following = store.selections.get(name, number + 1, SELECTED)
            if following is None:
                break
            number, row = number + 1, following
    if row is None:
        msg = (
            f"campaign {name!r} has chosen nothing from a run in round {number} yet; "
            "`fire campaign run FILE` goes on"
        )
        raise StoreError(msg)
    meta = json.loads(row.meta_json)
    if "explanation" not in meta:
        msg = (
            f"round {number} of {name!r} was chosen by an older FIRE, which kept no "
            "reasons; rounds from now on have them"
        )
        raise StoreError(msg)
    found = {
        "method": row.method,
        "candidates": meta["candidates"],
        "refused": meta["refused"],
        **meta["explanation"],
        "q_alarm": meta.get("q_alarm"),  # not kept by FIRE 0.1
    }
    return number, found


def _summary(found: dict[str, Any]) -> str:
    before, after = found["before"], found["after"]
    text = (
        f"{len(found['picks'])} of {found['candidates']} candidates by "
        f"{found['method']}. Distance of a candidate to the nearest labelled or "
        f"chosen: mean {after['mean']:.2f}, 95 % within {after['percentile_95']:.2f}, "
        f"largest {after['largest']:.2f}"
    )
    if before is None:
        return text + "."
    return text + (
        f" (before: {before['mean']:.2f}, {before['percentile_95']:.2f}, "
        f"{before['largest']:.2f})."
    )


def _picks_table(picks: list[dict[str, Any]]) -> Table:
    table = Table("#")
    table.add_column("structure", no_wrap=True)
    for heading in (
        "replica", "K", "step", "cluster", "stands for", "to centre", "to labelled",
        "Q / limit",
    ):  # fmt: skip
        table.add_column(heading, min_width=4)
    for pick in picks:
        labelled = pick["labelled_distance"]
        table.add_row(
            str(pick["rank"] + 1),
            pick["key"][:12],
            str(pick["replica"]),
            f"{pick['temperature']:.0f}",
            str(pick["step"]),
            "-" if pick["cluster"] < 0 else str(pick["cluster"]),
            str(pick["cluster_size"]),
            f"{pick['centre_distance']:.3f}",
            "-" if labelled is None else f"{labelled:.3f}",
            f"{pick['q_ratio']:.2f}",
        )
    return table


def _regions_table(regions: list[dict[str, Any]]) -> Table:
    table = Table("distance", "candidates")
    table.add_column("example", no_wrap=True)
    for heading in ("replica", "step", "K"):
        table.add_column(heading)
    for region in regions:
        example = region["example"]
        table.add_row(
            f"{region['distance']:.3f}",
            str(region["candidates"]),
            example["key"][:12],
            str(example["replica"]),
            str(example["step"]),
            ", ".join(f"{t:.0f}" for t in region["temperatures"]),
        )
    return table
