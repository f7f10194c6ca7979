"""The description of one measurement of a property, as a person writes it in YAML."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, NonNegative, Part
from fire_core.config.campaign import StoreConfig
from fire_core.config.steps import BackboneConfig
from fire_core.config.system import FileSystem, InterfaceSystem, OrderConfig
from fire_core.config.variants import VariantOf
from fire_core.errors import PropertyError
from fire_core.properties.kinds import KINDS
from fire_core.properties.settings import PropertySettings


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


def _default_backbone(fields: dict[str, Any]) -> BackboneConfig | None:
    measure = fields.get("measure")
    if measure is not None and not measure.needs().model:
        return None
    return BackboneConfig()


class PropertyRequest(Part):
    """One property with every setting, most often of one model and one structure."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Lower-case letters, digits and dashes; what people call the measurement."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Source of every random number of the measurement."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the model; 0 takes every core."""
    measure: Annotated[PropertySettings, VariantOf(KINDS, {})]
    """What is measured, and how."""
    system: PropertySystem | None = None
    """The structure; left out where the measurement is of none."""
    backbone: BackboneConfig | None = Field(default_factory=_default_backbone)
    """The model; `name` may also be CAMPAIGN/MODEL, a fine-tuned one of the store. Left
    out: the bundled one, or none where the measurement is of no model."""
    store: StoreConfig = Field(default_factory=StoreConfig)
    results: str | None = None
    """Folder of the figures and numbers; left out: a folder of the request's name in
    the one that the environment variable FIRE_RESULTS names, else in `results`."""

    @model_validator(mode="after")
    def _given_what_is_needed(self) -> Self:
        needs, kind = self.measure.needs(), self.measure.kind
        for key, needed in (("system", needs.structure), ("backbone", needs.model)):
            given = getattr(self, key) is not None
            if needed and not given:
                msg = f"{kind} needs a `{key}`; add one"
                raise ValueError(msg)
            if given and not needed:
                msg = f"this {kind} is measured without a `{key}`; leave it out"
                raise ValueError(msg)
        return self

    def need_backbone(self) -> BackboneConfig:
        """Return the model that is measured.

        Raises
        ------
        PropertyError
            The measurement is of none.
        """
        if self.backbone is None:
            msg = f"{self.name} is a {self.measure.kind} and has no model"
            raise PropertyError(msg)
        return self.backbone
