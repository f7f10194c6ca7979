"""Settings of a measurement of speed: the model against what labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, Positive, Timestep
from fire_core.config.theory import TheoryConfig
from fire_core.properties.settings import Needs, PropertySettings

SIZES = (16, 64, 128, 256, 512, 1024, 2000, 3456)


class SpeedConfig(PropertySettings):
    """Wall time of an MD step, and of a label, against the number of atoms."""

    kind: Literal["speed"] = "speed"
    sizes: Annotated[tuple[Count, ...], Field(min_length=2)] = SIZES
    """Numbers of atoms; of each the supercell of the structure that comes nearest."""
    warm_up: Count = 3
    """Steps before anything is timed."""
    repeats: Annotated[int, Field(ge=3)] = 10
    """Steps that are timed, one by one; their median counts."""
    temperature: Positive = 300.0
    """Of the dynamics, K."""
    timestep: Timestep = 1.0
    """fs."""
    replicas: tuple[Count, ...] = ()
    """Also the time of a step of so many replicas in one batch, at `replica_atoms`."""
    replica_atoms: Count = 64
    """Atoms of one replica in those batches."""
    theory: TheoryConfig | None = None
    """The labeller to compare with; left out: the model alone."""
    time_limit: Positive = 120.0
    """s; sizes are not tried that by the trend so far would need longer for one step or
    label."""
    labels: Count = 1
    """Labels of each size; their median counts."""
    machine: str = ""
    """Name of the machine; the same request is measured again under another name."""

    def needs(self) -> Needs:
        """Return that times depend on the machine."""
        return Needs(machine=True)
