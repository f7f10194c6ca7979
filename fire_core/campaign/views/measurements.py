"""Finished measurements of a store, named so that they can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.properties.comparison.compare import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.storage.properties import PropertyRow


def label_measurements(rows: Sequence[PropertyRow]) -> list[Measured]:
    """Call measurements by their models; where those are the same, by their names.

    Raises
    ------
    StoreError
        One of them is not finished.
    """
    subjects = [row.asked.subject for row in rows]
    return [
        Measured(
            row.asked.name
            if subjects.count(row.asked.subject) > 1
            else row.asked.subject,
            row.asked.formula,
            row.need_result().values,
        )
        for row in rows
    ]
