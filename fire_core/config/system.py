"""What is simulated: an interface of two crystals, or structures from a file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, NonNegative, Part, Positive

Miller = tuple[int, int, int]
Repeats = tuple[Count, Count, Count]


class OrderConfig(Part):
    """How a crystal with shared or part-empty sites becomes one with whole atoms."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Source of the search's random numbers; another seed may find another order."""
    cell: Literal["primitive", "conventional"] = "primitive"
    """Cell that is ordered; a larger one comes nearer to the given occupancies."""
    repeat: Repeats = (1, 1, 1)
    """Repeats of the conventional cell that are ordered as a whole; more than one
    takes the conventional cell."""
    oxidation: dict[str, float] = Field(default_factory=dict)
    """Charge of each ion, e; left out: guessed by pymatgen so that the cell is
    neutral."""
    min_distance: Positive | None = None
    """Two part-empty sites nearer than this are never both filled, Å; left out: 0.8 of
    the sum of the covalent radii (2.05 Å for two lithium ions)."""
    sweeps: Count = 1000
    """Trial moves of the search for each part-filled site."""


class SlabConfig(Part):
    """One side of an interface."""

    crystal: str
    """Name of a built-in crystal (`fire system list`) or path of a CIF."""
    x: NonNegative | None = None
    """Composition or disorder of the built-in crystals that have one: x of LLZTO and
    LLZNO, the share of exchanged S and Cl of Li6PS5Cl."""
    miller: Miller = (0, 0, 1)
    """Surface plane in the conventional cell."""
    layers: Count | None = None
    """Repeats of the surface cell along its normal; 1 unless `thickness` is given."""
    thickness: Positive | None = None
    """Least thickness of the slab, Å, in place of `layers`."""
    termination: Annotated[int, Field(ge=0)] = 0
    """Which planes of atoms end the slab: a number of the list that `fire system show`
    prints; 0 cuts the fewest bonds at the widest gap."""
    order: OrderConfig = OrderConfig()
    """How a crystal with partial occupancies is ordered."""

    @model_validator(mode="after")
    def _one_height(self) -> Self:
        if self.layers is not None and self.thickness is not None:
            msg = (
                f"either layers or thickness, got layers: {self.layers} and "
                f"thickness: {self.thickness}"
            )
            raise ValueError(msg)
        return self


class InterfaceSystem(Part):
    """A stack of two slabs, built by `structures.interfaces`."""

    kind: Literal["interface"] = "interface"
    bottom: SlabConfig
    top: SlabConfig
    gap: Positive = 2.2
    """Distance between the outermost planes of the two slabs at each contact, Å."""
    vacuum: NonNegative = 0.0
    """Empty space above the top slab, Å; 0: a periodic stack with two contacts."""
    max_strain: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Largest in-plane strain put on the top slab to match the bottom one, a fraction:
    0.05 is 5 %."""
    min_atoms: Count = 16
    """Fewest atoms in the cell."""
    max_atoms: Count = 200
    """Most atoms in the cell."""
    min_width: NonNegative = 0.0
    """Shortest allowed in-plane cell height, Å."""
    max_area: Positive | None = None
    """Largest in-plane area, Å²."""
    match: Annotated[int, Field(ge=0)] = 0
    """Which of the ranked matches to build (`fire system show`); 0: the one with the
    fewest atoms, then the least strain."""


class FileSystem(Part):
    """Starting structures read from a file."""

    kind: Literal["file"] = "file"
    path: str
    """Any file that ASE reads; relative to the campaign file."""
    index: str = ":"
    """Frames to take, in ASE's slice notation."""


SystemConfig = Annotated[InterfaceSystem | FileSystem, Field(discriminator="kind")]
