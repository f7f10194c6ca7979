"""Temperatures and pressure of molecular dynamics."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

from fire_core.config.base import Part, Positive


def _check_target(value: Any) -> Any:
    """Refuse what is neither a temperature nor a ramp, in words of one line."""
    is_ramp = isinstance(value, list | tuple)
    ends = list(value) if is_ramp else [value]
    if is_ramp and len(ends) != 2:
        msg = f"a ramp is [first, last], two temperatures in K, got {ends}"
        raise ValueError(msg)
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise PydanticKnownError("float_type")
        if not math.isfinite(end):
            raise PydanticKnownError("finite_number")
        if end <= 0:
            raise PydanticKnownError("greater_than", {"gt": 0.0})
    return value


Target = Annotated[
    Positive | tuple[Positive, Positive],
    BeforeValidator(_check_target),
]
"""K; or the first and last of a ramp, linear over the steps of the run."""


def target_ends(target: float | tuple[float, float]) -> tuple[float, float]:
    """Return the temperatures, K, at the first and at the last step."""
    return target if isinstance(target, tuple) else (target, target)


class BarostatConfig(Part):
    """Constant pressure by stochastic cell rescaling."""

    pressure: float = 0.0
    """Target, GPa."""
    axes: Literal["isotropic", "normal", "each"] = "isotropic"
    """What may change: `isotropic`, the volume at a fixed shape; `normal`, the length
    across the interface alone, for stacks whose lateral cell is given; `each`, the
    three lengths along x, y and z on their own."""
    normal: Literal["x", "y", "z"] = "z"
    """Direction across the interface, for `axes: normal`."""
    relaxation: Positive = 500.0
    """fs in which the volume relaxes, if `compressibility` is that of the system."""
    compressibility: Positive = 0.03
    """1/GPa. It sets how fast the volume moves, not where to: an estimate will do
    (LiCl 0.03, oxides 0.01, lithium 0.09)."""
