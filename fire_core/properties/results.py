"""A result as text: numbers as a table, notes, figures."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from fire_core.properties.values import format_conditions, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles


def result_to_markdown(result: PropertyResult, figures: Sequence[FigureFiles]) -> str:
    """Return a result as Markdown that holds its figures."""
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
