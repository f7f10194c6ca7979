"""The numbers of a measurement as a table that fits a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from fire_core.properties.values import format_conditions, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from fire_core.records import PropertyValue

LEADING: Final = "temperature_k"
"""What a long table is cut into sections by."""


def print_values(console: Console, values: Sequence[PropertyValue]) -> None:
    """Print numbers with their 95 % intervals; notes follow, each once, by number."""
    notes = list(dict.fromkeys(value.note for value in values if value.note))
    sections: dict[str, list[PropertyValue]] = {}
    for value in values:
        first = {k: v for k, v in value.conditions.items() if k == LEADING}
        sections.setdefault(format_conditions(first), []).append(value)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("property", "of", "value", "95 % interval"):
        table.add_column(head, overflow="fold", no_wrap=head == "property")
    for heading, members in sections.items():
        if heading:
            table.add_row(f"[bold]{heading}[/bold]")
        for value in members:
            rest = {k: v for k, v in value.conditions.items() if k != LEADING}
            mark = f" [{notes.index(value.note) + 1}]" if value.note else ""
            table.add_row(
                value.name,
                format_conditions(rest),
                Text(f"{format_value(value)}{mark}"),
                _interval(value),
            )
        table.add_section()
    console.print(table)
    for number, note in enumerate(notes, 1):
        console.print(f"[{number}] {note}", markup=False)


def _interval(value: PropertyValue) -> str:
    if value.low is None or value.high is None:
        return ""
    low, high = f"{value.low:.3g}", f"{value.high:.3g}"
    (one, *power), (other, *same) = low.split("e"), high.split("e")
    if power and power == same:
        return f"({one} … {other})e{power[0]}"
    return f"{low} … {high}"
