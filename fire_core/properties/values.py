"""Numbers with their errors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.records import PropertyValue

TWO_SIDED_95: Final = 1.959964
"""Standard errors in half of the 95 % interval of a normal distribution."""
PHRASES: Final = {
    "temperature_k": "{} K",
    "after_ps": "after {} ps",
    **dict.fromkeys(("species", "pair"), "{}"),
}


def with_interval(value: PropertyValue) -> PropertyValue:
    """Return a value with the 95 % interval of its standard error, taken as normal."""
    if value.value is None or value.error is None:
        return value
    half = TWO_SIDED_95 * value.error
    return replace(value, low=value.value - half, high=value.value + half)


def format_value(value: PropertyValue) -> str:
    """Return a number, its error with two digits, and its unit: `51.3 ± 1.2 GPa`."""
    if value.value is None:
        return "–"
    return format_number(value.value, value.error, value.unit)


def format_conditions(conditions: Mapping[str, float | str]) -> str:
    """Return conditions as people write them: `700 K, Li, after 10 ps`."""
    words = []
    for name, value in conditions.items():
        text = f"{value:g}" if isinstance(value, float | int) else str(value)
        words.append(PHRASES.get(name, f"{name.replace('_', ' ')} {{}}").format(text))
    return ", ".join(words)


def format_number(number: float, error: float | None, unit: str) -> str:
    """Return a number, its error with two digits where it is known, and its unit."""
    if not error or math.isnan(error):
        text = f"{number:.4g}"
    else:
        text = _with_error(number, error)
    return f"{text} {unit}".rstrip()


def _with_error(number: float, error: float) -> str:
    """Round to the second digit of the error; powers of ten outside of it."""
    size = max(abs(number), error)
    power = _power(size)
    far = power >= 5 or power < -3
    scale = 10.0**power if far else 1.0
    digits = max(0, 1 - _power(error / scale))
    text = f"{number / scale:.{digits}f} ± {error / scale:.{digits}f}"
    return f"({text})e{power:+03d}" if far else text


def _power(number: float) -> int:
    return int(f"{number:e}".split("e")[1])
