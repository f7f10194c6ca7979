"""What is simulated: an interface of two crystals, or structures from a file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, NonNegative, Part, Positive

Miller = tuple[int, int, int]


class SlabConfig(Part):
    """One side of an interface."""

    crystal: str
    """Name of a built-in crystal (`fire system list`) or path of a CIF."""
    miller: Miller = (0, 0, 1)
    """Surface plane in the conventional cell."""
    layers: Count = 1
    """Repeats of the surface cell along its normal."""


class InterfaceSystem(Part):
    """A periodic stack of two slabs, built by `structures.interfaces`."""

    kind: Literal["interface"] = "interface"
    bottom: SlabConfig
    top: SlabConfig
    gap: Positive = 2.2
    """Distance between the two slabs at both of their contacts, Å."""
    max_strain: Positive = 0.1
    """Largest in-plane strain put on the top slab to match the bottom one."""
    min_atoms: Count = 16
    """Fewest atoms in the cell."""
    max_atoms: Count = 200
    """Most atoms in the cell."""
    min_width: NonNegative = 0.0
    """Shortest allowed in-plane cell height, Å."""


class FileSystem(Part):
    """Starting structures read from a file."""

    kind: Literal["file"] = "file"
    path: str
    """Any file that ASE reads; relative to the campaign file."""
    index: str = ":"
    """Frames to take, in ASE's slice notation."""


SystemConfig = Annotated[InterfaceSystem | FileSystem, Field(discriminator="kind")]
