"""Work of adhesion: an interface against its two slabs apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import units

from fire_core.errors import PropertyError
from fire_core.properties.relaxation import relax

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.properties.adhesion.settings import AdhesionConfig

    Array = NDArray[np.float64]

NORMAL_ONLY: Final = (False, False, True, False, False, False)
"""Strains that the height of a periodic stack may take."""
J_PER_M2: Final = float(units.m**2 / units.J)
"""J/m² in an eV/Å²; 16.02."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """An interface of two slabs, one above the other along z.

    Attributes
    ----------
    atoms
        Both slabs; no slab is cut by the cell's lower or upper face.
    top
        (n_atoms,), whether an atom belongs to the upper slab.
    contacts
        1 with a vacuum above the upper slab, 2 in a periodic stack.
    """

    atoms: Atoms
    top: NDArray[np.bool_]
    contacts: int

    @property
    def area(self) -> float:
        """Area of one contact, Å²."""
        a, b = self.atoms.cell.array[:2]
        return float(np.linalg.norm(np.cross(a, b)))

    def with_atoms(self, atoms: Atoms) -> Stack:
        """Return the same stack with its atoms moved."""
        return Stack(atoms, self.top, self.contacts)


def make_stack(atoms: Atoms, vacuum: float, cutoff: float) -> Stack:
    """Return the stack of an interface whose array `region` is 0 below and 1 above.

    Parameters
    ----------
    atoms
        The interface; its third vector is normal to the other two.
    vacuum
        Empty space that it was built with, Å; 0: a periodic stack.
    cutoff
        Radius of the model's neighbourhoods, Å.

    Raises
    ------
    PropertyError
        There are no regions, the cell leans, or the vacuum is within the cutoff.
    """
    region = atoms.arrays.get("region")
    if region is None or set(region.tolist()) != {0, 1}:
        msg = (
            "expected a structure with two regions, 0 below and 1 above, got none; "
            "ask for an interface that FIRE builds, `system: {kind: interface, …}` or "
            "`{preset: NAME}`"
        )
        raise PropertyError(msg)
    cell = atoms.cell.array
    if np.abs([*cell[2, :2], *cell[:2, 2]]).max() > 1e-6:
        msg = f"expected a third cell vector along z, got the cell {cell.tolist()}"
        raise PropertyError(msg)
    if 0 < vacuum < cutoff:
        msg = (
            f"a vacuum of {vacuum:g} Å is within the model's cutoff of {cutoff:g} Å, "
            "so the outer surfaces feel each other; take system.vacuum above it, or 0 "
            "for a periodic stack of two contacts"
        )
        raise PropertyError(msg)
    bare = atoms.copy()
    bare.arrays.pop("region")
    return Stack(bare, region == 1, 1 if vacuum else 2)


def relax_stack(
    stack: Stack, calculator: Calculator, settings: AdhesionConfig
) -> Stack:
    """Return the stack relaxed at its lateral cell; a periodic one in height, too."""
    relaxed = relax(
        stack.atoms,
        calculator,
        cell=stack.contacts == 2,
        mask=NORMAL_ONLY,
        force_tolerance=settings.force_tolerance,
        max_steps=settings.max_steps,
    )
    relaxed.calc = None
    return stack.with_atoms(relaxed)


def separate(stack: Stack, distance: float) -> Atoms:
    """Return the stack with the upper slab moved up rigidly.

    Parameters
    ----------
    stack
        The interface.
    distance
        Å that each contact is opened by, beyond what it is; negative: closed.
    """
    moved: Atoms = stack.atoms.copy()
    cell = moved.cell.array.copy()
    cell[2, 2] += stack.contacts * distance
    moved.set_cell(cell)
    moved.positions[stack.top, 2] += distance
    return moved


def take_slab(stack: Stack, *, top: bool, vacuum: float) -> Atoms:
    """Return one slab alone, with this much empty space above it, Å."""
    slab: Atoms = stack.atoms[stack.top == top]
    heights = slab.positions[:, 2]
    cell = slab.cell.array.copy()
    cell[2, 2] = np.ptp(heights) + vacuum
    slab.positions[:, 2] += vacuum / 2 - heights.min()
    slab.set_cell(cell)
    return slab


def energy_of(atoms: Atoms, calculator: Calculator) -> float:
    """Return the potential energy, eV."""
    here = atoms.copy()
    here.calc = calculator
    return float(here.get_potential_energy())


def slab_energy(
    slab: Atoms, calculator: Calculator, settings: AdhesionConfig, *, moving: bool
) -> float:
    """Return the energy of a slab alone, its ions relaxed or as they are, eV."""
    if not moving:
        return energy_of(slab, calculator)
    relaxed = relax(
        slab,
        calculator,
        cell=False,
        force_tolerance=settings.force_tolerance,
        max_steps=settings.max_steps,
    )
    return float(relaxed.get_potential_energy())


def work_of_adhesion(apart: float, together: float, stack: Stack) -> float:
    """Return (E_1 + E_2 - E_12) / (contacts × area), J/m².

    Parameters
    ----------
    apart
        Sum of the energies of both slabs alone, eV.
    together
        Energy of the interface, eV.
    stack
        Its area and number of contacts.
    """
    return (apart - together) / (stack.contacts * stack.area) * J_PER_M2


def separations(settings: AdhesionConfig) -> Array:
    """Return the distances of the curve, Å; zero is one of them."""
    below = int(-settings.closest / settings.spacing)
    above = int(np.ceil(settings.farthest / settings.spacing - 1e-9))
    return np.asarray(settings.spacing * np.arange(-below, above + 1), np.float64)
