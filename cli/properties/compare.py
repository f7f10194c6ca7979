"""`fire properties compare`: the same property of models, theories and experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.campaign.views.measurements import label_measurements
from fire_core.properties.comparison.compare import compare as compare_measured
from fire_core.properties.comparison.figure import draw_comparisons
from fire_core.properties.comparison.references import read_obelix
from fire_core.properties.values import format_conditions, format_number
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from fire_core.properties.comparison.compare import Comparison, Entry


def compare(  # noqa: PLR0913, PLR0917 - options of a table and of a figure
    names: Annotated[
        list[str], typer.Argument(help="Finished measurements: names, or keys.")
    ],
    value: Annotated[
        list[str] | None, typer.Option(help="Only these numbers, such as bulk_modulus.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Source that the others are compared with.")
    ] = None,
    obelix: Annotated[
        Path | None, typer.Option(help="OBELiX's CSV: further measured conductivities.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Write figures and compare.json here.")
    ] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Compare finished measurements with each other and with published numbers."""
    with Store.open(db, blobs) as store:
        rows = [store.properties.need(name) for name in names]
    more = () if obelix is None else read_obelix(obelix)
    measured = label_measurements(rows)
    found = compare_measured(measured, more=more, names=value or (), against=against)
    facts = [comparison.as_dict() for comparison in found]
    if folder is not None:
        draw_comparisons(facts, folder)
        text = json.dumps(facts, indent=1)
        (folder / "compare.json").write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _show(found)


def _show(found: list[Comparison]) -> None:
    table = Table("property", "conditions", "of", "value", "deviation", "σ", "source")
    for comparison in found:
        conditions = format_conditions(comparison.conditions)
        for i, entry in enumerate(comparison.entries):
            name = comparison.name if i == 0 else ""
            table.add_row(
                *(name, conditions if i == 0 else "", entry.label),
                format_number(entry.value, entry.error, comparison.unit),
                *(_deviation(entry), _sigmas(entry)),
                entry.source or entry.kind,
            )
        table.add_section()
    Console(highlight=False).print(table)
    note = (
        "deviations are from the first line of each property; ≤: one error is unknown"
    )
    Console(highlight=False).print(f"- {note}")


def _deviation(entry: Entry) -> str:
    if entry.percent is None:
        return ""
    if entry.percent > 200:
        return f"× {1 + entry.percent / 100:.3g}"
    return f"{entry.percent:+.3g} %"


def _sigmas(entry: Entry) -> str:
    if entry.sigmas is None:
        return ""
    return ("≤ " if entry.is_upper_bound else "") + f"{entry.sigmas:.1f}"
