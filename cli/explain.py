"""`fire campaign explain`: why structures were chosen, and what was left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.campaign.choices import choice_to_dict, last_choice, read_choice
from fire_core.errors import StoreError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.choices import PickedBecause, RoundChoice, UnderSampled

SHOWN = 20


def explain(
    name: Annotated[str, typer.Argument(help="Name of the campaign.")],
    round_: Annotated[
        int | None, typer.Option("--round", help="Which round; left out, the last.")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every pick, not only the first 20.")
    ] = False,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Show why structures were chosen, and which regions stay under-sampled.

    Distances are between frames in the reduced descriptor space, in units of the
    candidates' root-mean-square distance from their mean.
    """
    number, found = _read(name, round_, db, blobs)
    if as_json:
        facts = {"campaign": name, "round": number, **choice_to_dict(found)}
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print(f"{name}, round {number}: {_summary(found)}", highlight=False)
    if found.refused:
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(found.refused.items()))
        console.print(f"refused by screening: {counts}", highlight=False)
    alarm = found.alarm
    if alarm is not None and alarm.rings:
        console.print(
            f"{alarm.share:.1%} of the candidates differed from everything learnt "
            f"before, by Q-residual ({alarm.expected:.1%} would by chance)",
            highlight=False,
        )
    picks = found.picks
    console.print(_picks_table(picks if show_all else picks[:SHOWN]))
    if len(picks) > SHOWN and not show_all:
        console.print(f"{len(picks) - SHOWN} more: --all", highlight=False)
    if found.regions:
        console.print("under-sampled after this choice, the farthest first:")
        console.print(_regions_table(found.regions))


def _read(
    name: str, round_: int | None, db: str, blobs: str
) -> tuple[int, RoundChoice]:
    """Return the round and what is known of its choice."""
    with Store.open(db, blobs) as store:
        if store.campaigns.get(name) is None:
            msg = f"no campaign {name!r} in {db}; see `fire campaign list`"
            raise StoreError(msg)
        number = round_ or last_choice(store, name) or 1
        found = read_choice(store, name, number)
    if found is None:
        msg = (
            f"campaign {name!r} has chosen nothing from a run in round {number} yet; "
            "`fire campaign run FILE` goes on"
        )
        raise StoreError(msg)
    if not found.is_explained:
        msg = (
            f"round {number} of {name!r} was chosen by an older FIRE, which kept no "
            "reasons; rounds from now on have them"
        )
        raise StoreError(msg)
    return number, found


def _summary(found: RoundChoice) -> str:
    before, after = found.before, found.after
    text = f"{len(found.picks)} of {found.candidates} candidates by {found.method}"
    if after is None:
        return text + "."
    text += (
        ". Distance of a candidate to the nearest labelled or chosen: mean "
        f"{after.mean:.2f}, 95 % within {after.percentile_95:.2f}, largest "
        f"{after.largest:.2f}"
    )
    if before is None:
        return text + "."
    return text + (
        f" (before: {before.mean:.2f}, {before.percentile_95:.2f}, "
        f"{before.largest:.2f})."
    )


def _picks_table(picks: Sequence[PickedBecause]) -> Table:
    table = Table("#")
    table.add_column("structure", no_wrap=True)
    for heading in (
        "replica", "K", "step", "cluster", "stands for", "to centre", "to labelled",
        "Q / limit",
    ):  # fmt: skip
        table.add_column(heading, min_width=4)
    for pick in picks:
        labelled, ratio = pick.labelled_distance, pick.q_ratio
        table.add_row(
            str(pick.rank + 1),
            pick.key[:12],
            str(pick.replica),
            "-" if pick.temperature is None else f"{pick.temperature:.0f}",
            str(pick.step),
            "-" if pick.cluster < 0 else str(pick.cluster),
            str(pick.cluster_size),
            f"{pick.centre_distance:.3f}",
            "-" if labelled is None else f"{labelled:.3f}",
            "-" if ratio is None else f"{ratio:.2f}",
        )
    return table


def _regions_table(regions: Sequence[UnderSampled]) -> Table:
    table = Table("distance", "candidates")
    table.add_column("example", no_wrap=True)
    for heading in ("replica", "step", "K"):
        table.add_column(heading)
    for region in regions:
        table.add_row(
            f"{region.distance:.3f}",
            str(region.candidates),
            region.key[:12],
            str(region.replica),
            str(region.step),
            ", ".join(f"{t:.0f}" for t in region.temperatures),
        )
    return table
