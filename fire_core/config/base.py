"""The model that every part of the configuration inherits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Timestep = Annotated[float, Field(ge=0.05, le=10.0)]
"""fs; beyond these limits somebody meant another unit."""


class Part(BaseModel):
    """A frozen piece of configuration that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class TheorySettings(Part):
    """A theory level: what a labeller is told, whoever wrote it."""

    scanned: ClassVar[Mapping[str, bool]] = MappingProxyType({})
    """Settings whose convergence can be tested; whether a larger value is the finer."""
    kind: str
    """Which labeller."""
