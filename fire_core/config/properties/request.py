"""The description of one measurement of a property, as a person writes it in YAML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, NonNegative, Part
from fire_core.config.campaign import StoreConfig
from fire_core.config.properties.kinds import MeasureConfig
from fire_core.config.steps import BackboneConfig
from fire_core.config.system import FileSystem, InterfaceSystem, OrderConfig


class CrystalSystem(Part):
    """A crystal by itself."""

    kind: Literal["crystal"] = "crystal"
    crystal: str
    """Name of a built-in crystal (`fire system list`) or path of a CIF."""
    x: NonNegative | None = None
    """Composition or disorder of the built-in crystals that have one."""
    repeat: tuple[Count, Count, Count] = (1, 1, 1)
    """Repeats of the cell, once it is ordered."""
    order: OrderConfig = OrderConfig()
    """How a crystal with partial occupancies is ordered."""


PropertySystem = Annotated[
    CrystalSystem | FileSystem | InterfaceSystem, Field(discriminator="kind")
]


class PropertyRequest(Part):
    """One property of one model and one structure, with every setting."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Lower-case letters, digits and dashes; what people call the measurement."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Source of every random number of the measurement."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the model; 0 takes every core."""
    system: PropertySystem
    backbone: BackboneConfig = BackboneConfig()
    """The model; `name` may also be CAMPAIGN/MODEL, a fine-tuned one of the store."""
    measure: MeasureConfig
    """What is measured, and how."""
    store: StoreConfig = Field(default_factory=StoreConfig)
    results: str | None = None
    """Folder of the figures and numbers; left out: a folder of the request's name in
    the one that the environment variable FIRE_RESULTS names, else in `results`."""
