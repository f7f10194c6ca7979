"""Settings of a cohesive energy."""

from typing import Annotated, Literal

from pydantic import Field

from fire_core.properties.settings import PropertySettings


class CohesionSettings(PropertySettings):
    """Energy of a crystal against that of its atoms apart."""

    kind: Literal["cohesive_energy"] = "cohesive_energy"
    box: Annotated[float, Field(ge=8)] = 12.0
    """Edge of the cube that an isolated atom is computed in, Å."""
