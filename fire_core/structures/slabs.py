"""Cut a stoichiometric slab with the smallest surface cell out of a crystal."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

from fire_core.errors import StructureError
from fire_core.structures.complexes import find_units
from fire_core.structures.composition import guess_oxidation
from fire_core.structures.polarity import find_polarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.structures.complexes import Units
    from fire_core.structures.polarity import Polarity

MAX_INDEX: Final = 4  # lattice vectors are searched up to this multiple
TOLERANCE: Final = 1e-4
PLANE: Final = 0.25
"""Atoms whose heights differ less than this make one plane, Å."""


@dataclass(frozen=True, slots=True)
class Termination:
    """One way to cut a crystal parallel to a plane.

    Attributes
    ----------
    below, above
        Atoms and complex ions of the planes next to the cut: `below` is the slab's
        uppermost one, `above` its lowermost one; for each surface cell.
    gap
        Distance between their outermost atoms, Å; below zero where complex ions reach
        past each other.
    bonds
        Bonds of a network of complex ions that the cut breaks, for each surface cell.
    polarity
        Of one layer so cut.
    height
        Place of the cut, as a fraction of the layer.
    """

    below: str
    above: str
    gap: float
    bonds: int
    polarity: Polarity
    height: float


def list_terminations(
    crystal: Atoms,
    miller: Sequence[int],
    conventional: NDArray[np.float64] | None = None,
) -> list[Termination]:
    """Return every way to cut parallel to a plane; see `cut_slab` for the parameters.

    First come those that break the fewest bonds, of these the ones without a dipole,
    of these the widest gap. Complex ions such as PS4 or CO3 are never cut.
    """
    return _layer(crystal, miller, conventional).terminations


def cut_slab(
    crystal: Atoms,
    miller: Sequence[int],
    layers: int = 1,
    *,
    thickness: float | None = None,
    termination: int = 0,
    conventional: NDArray[np.float64] | None = None,
) -> Atoms:
    """Return repeats of the crystal's primitive layer parallel to a plane.

    Parameters
    ----------
    crystal
        A cell of the crystal.
    miller
        Plane in the conventional cell's indices.
    layers
        Repeats; each holds one primitive cell of atoms, so the slab keeps the
        crystal's composition.
    thickness
        Least distance between its outermost planes, Å; decides over `layers`.
    termination
        Number in `list_terminations`.
    conventional
        (3, 3), Å, conventional cell; None: the one that `crystal` has.

    Returns
    -------
    Atoms
        In-plane vectors in the xy plane, the first along x; z upwards from 0; the
        third vector is vertical, as long as the slab's lattice planes are thick.

    Raises
    ------
    StructureError
        The plane is (0 0 0), or too steep for the search, or there are fewer
        terminations.
    """
    layer = _layer(crystal, miller, conventional)
    if termination >= len(layer.terminations):
        msg = (
            f"the plane {list(miller)} has {len(layer.terminations)} terminations, "
            f"numbered from 0, got {termination}; `fire system show` lists them"
        )
        raise StructureError(msg)
    cut = layer.terminations[termination].height
    first = _shift(layer.units, cut) @ layer.lattice
    if thickness is not None:
        missing = thickness - float(np.ptp(first[:, 2]))
        layers = 1 + max(0, math.ceil(missing / layer.lattice[2, 2] - TOLERANCE))
    positions = np.concatenate([first + n * layer.lattice[2] for n in range(layers)])
    positions[:, 2] -= positions[:, 2].min()
    cell = layer.lattice.copy()
    cell[2] = [0.0, 0.0, layers * layer.lattice[2, 2]]
    return Atoms(np.tile(layer.numbers, layers), positions, cell=cell, pbc=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """The primitive layer of a plane, and where it can be cut."""

    numbers: NDArray[np.int64]
    lattice: NDArray[np.float64]
    units: Units
    terminations: list[Termination]


def _layer(
    crystal: Atoms, miller: Sequence[int], conventional: NDArray[np.float64] | None
) -> _Layer:
    if not any(miller):
        msg = f"miller must name a plane, got {list(miller)}"
        raise StructureError(msg)
    axes = crystal.cell.array if conventional is None else conventional
    primitive = _primitive(crystal)
    normal = np.linalg.inv(axes) @ np.asarray(miller, float)
    indices = _integer_direction(primitive.cell.array @ normal)
    vectors = _layer_vectors(primitive.cell.array, indices)
    lattice = _upright(vectors @ primitive.cell.array)
    scaled = primitive.get_scaled_positions() @ np.linalg.inv(vectors)
    layer = Atoms(primitive.numbers, scaled_positions=scaled, cell=lattice, pbc=True)
    units = find_units(layer)
    return _Layer(layer.numbers, lattice, units, _cuts(layer, units))


def _cuts(layer: Atoms, units: Units) -> list[Termination]:
    """Return a cut between each two planes of units."""
    thick = float(layer.cell.array[2, 2])
    charges = guess_oxidation(Counter(layer.get_chemical_symbols()), {})
    heights = (units.heights + TOLERANCE) % 1.0 - TOLERANCE
    order = np.argsort(heights, kind="stable")
    ordered = heights[order]
    gaps = np.diff(np.append(ordered, ordered[0] + 1.0)) * thick
    ends = np.flatnonzero(gaps > min(PLANE, gaps.max() - TOLERANCE))
    planes = np.split(np.roll(order, -int(ends[-1]) - 1), np.diff(ends).cumsum())
    planes = [plane for plane in planes if len(plane)]
    cuts = []
    for place, end in enumerate(ends):
        cut = float(ordered[end] + gaps[end] / thick / 2)
        slab = layer.copy()
        slab.set_scaled_positions(_shift(units, cut))
        cuts.append(
            Termination(
                below=_name_plane(planes[place], units),
                above=_name_plane(planes[(place + 1) % len(planes)], units),
                gap=thick - float(np.ptp(slab.positions[:, 2])),
                bonds=units.bonds_across(cut),
                polarity=find_polarity(slab, charges),
                height=cut,
            )
        )
    return sorted(cuts, key=_preference)


def _preference(cut: Termination) -> tuple[int, bool, float, float]:
    return (cut.bonds, cut.polarity.is_polar, -round(cut.gap, 4), cut.height)


def _shift(units: Units, cut: float) -> NDArray[np.float64]:
    """Return (n, 3) fractional coordinates with the units above a cut in one layer."""
    scaled = units.scaled.copy()
    # what is level with the cut, within rounding, counts as above it
    scaled[:, 2] -= np.floor(units.heights - cut + TOLERANCE)[units.of_atom]
    return scaled


def _name_plane(plane: NDArray[np.int64], units: Units) -> str:
    counts = Counter(units.formulas[unit] for unit in plane)
    return " ".join(f"{n if n > 1 else ''}{name}" for name, n in sorted(counts.items()))


def _primitive(crystal: Atoms) -> Atoms:
    import spglib

    found = spglib.standardize_cell(
        (crystal.cell.array, crystal.get_scaled_positions(), crystal.numbers),
        to_primitive=True,
        no_idealize=True,
        symprec=1e-3,
    )
    if found is None:
        return crystal.copy()
    lattice, scaled, numbers = found
    return Atoms(numbers, scaled_positions=scaled, cell=lattice, pbc=True)


def _integer_direction(values: NDArray[np.float64]) -> tuple[int, int, int]:
    """Return the smallest integers in the ratio of the given numbers."""
    smallest = min(abs(v) for v in values if abs(v) > TOLERANCE)
    for factor in range(1, 13):
        scaled = values / smallest * factor
        whole = np.rint(scaled)
        if np.abs(scaled - whole).max() < 1e-2:
            i, j, k = (int(w) for w in whole)
            divisor = math.gcd(i, j, k)
            return (i // divisor, j // divisor, k // divisor)
    msg = f"no plane of low indices is parallel to {values.tolist()}; choose another"
    raise StructureError(msg)


def _layer_vectors(
    lattice: NDArray[np.float64], indices: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Return integer rows: the two shortest vectors in a plane, one just off it.

    Together they span the lattice and are right-handed.
    """
    steps = range(-MAX_INDEX, MAX_INDEX + 1)
    grid = np.array(list(itertools.product(steps, steps, steps)))
    order = np.argsort(np.linalg.norm(grid @ lattice, axis=1), kind="stable")
    grid = grid[order]
    heights = grid @ np.array(indices)
    in_plane = [v for v in grid[heights == 0] if v.any()]
    off_plane = grid[heights == 1]
    for a, b in itertools.combinations(in_plane[:24], 2):
        if abs(round(float(np.linalg.det([a, b, off_plane[0]])))) == 1:
            vectors = np.array([a, b, off_plane[0]])
            right = np.linalg.det(vectors @ lattice) > 0
            return vectors if right else vectors[[1, 0, 2]]
    msg = f"the plane {list(indices)} is too steep; choose lower Miller indices"
    raise StructureError(msg)


def _upright(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lattice rotated: first vector along x, second in the xy plane."""
    _, upper = np.linalg.qr(lattice.T)
    lower = upper.T
    return np.asarray(lower * np.sign(np.diag(lower)), float)
