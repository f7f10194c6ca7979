"""Which function measures which kind of property; a new kind is added here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.records import PropertyResult
    from tasks.properties.bench import Bench

KINDS: Final = {
    "adhesion": "tasks.properties.adhesion",
    "elasticity": "tasks.properties.elasticity",
    "equation_of_state": "tasks.properties.equation_of_state",
    "impedance": "tasks.properties.impedance",
    "phonons": "tasks.properties.phonons",
    "speed": "tasks.properties.speed",
    "structure_check": "tasks.properties.structure_check",
    "thermal_elasticity": "tasks.properties.thermal_elasticity",
    "transport": "tasks.properties.transport",
}
"""Module of each kind; its `measure` takes a Bench and returns a PropertyResult."""


def find_measure(kind: str) -> Callable[[Bench], PropertyResult]:
    """Return the function that measures a kind."""
    return cast("Callable[[Bench], PropertyResult]", import_module(KINDS[kind]).measure)
