"""Elastic tensor at 0 K: the relaxed cell in the crystal's axes, and its strains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units

from fire_core.errors import PropertyError
from fire_core.properties.elasticity.fit import strain_atoms
from fire_core.properties.elasticity.tensor import invariant_basis, needed_strains
from fire_core.properties.relaxation import relax
from fire_core.structures.symmetry import find_point_symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.properties.elasticity.settings import ElasticityConfig, TensorConfig
    from fire_core.records import JsonDict
    from fire_core.structures.symmetry import PointSymmetry

    Array = NDArray[np.float64]


def relax_reference(
    atoms: Atoms,
    calculator: Calculator,
    *,
    force_tolerance: float,
    max_steps: int,
) -> Atoms:
    """Return the structure with cell and ions relaxed.

    Raises
    ------
    PropertyError
        It is not periodic in three directions, or does not relax.
    """
    if not atoms.pbc.all():
        msg = (
            "elastic constants are those of a crystal, periodic in three directions; "
            f"got pbc = {atoms.pbc.tolist()}; measure the bulk, `kind: crystal`"
        )
        raise PropertyError(msg)
    return relax(
        atoms,
        calculator,
        cell=True,
        force_tolerance=force_tolerance,
        max_steps=max_steps,
    )


def orient(atoms: Atoms, settings: TensorConfig) -> tuple[Atoms, PointSymmetry]:
    """Return a structure in the axes of its tensor, and the symmetry that it has there.

    The rotations of the symmetry act on the turned structure.
    """
    found = find_point_symmetry(atoms, settings.symmetry_tolerance)
    if settings.frame == "given":
        return atoms.copy(), found
    turn = found.to_standard
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=False)
    turned.positions = atoms.positions @ turn.T
    return turned, find_point_symmetry(turned, settings.symmetry_tolerance)


def choose_strains(
    symmetry: PointSymmetry, settings: TensorConfig
) -> tuple[list[int], Array]:
    """Return the strains to take, and a basis of the tensors that are allowed."""
    if settings.symmetry == "none":
        return list(range(6)), invariant_basis(np.eye(3)[None])
    basis = invariant_basis(symmetry.rotations)
    if settings.symmetry == "reduce":
        return needed_strains(symmetry.rotations), basis
    return list(range(6)), basis


def strained_stress(
    atoms: Atoms, strain: Array, calculator: Calculator, settings: ElasticityConfig
) -> JsonDict:
    """Return stress (6,), GPa, and energy, eV, under six engineering strains."""
    strained = strain_atoms(atoms, strain)
    strained.calc = calculator
    if settings.relax:
        strained = relax(
            strained,
            calculator,
            cell=False,
            force_tolerance=settings.force_tolerance,
            max_steps=settings.max_steps,
        )
    return {
        "stress": stress_in_gpa(strained).tolist(),
        "energy": float(strained.get_potential_energy()),
    }


def stress_in_gpa(atoms: Atoms) -> Array:
    """Return the stress of atoms with a calculator, (6,), GPa, positive in tension."""
    stress: Array = np.asarray(atoms.get_stress(voigt=True)) / units.GPa
    return stress


def describe_frame(symmetry: PointSymmetry, settings: TensorConfig) -> str:
    """Return in a sentence which axes the constants refer to."""
    group = f"space group {symmetry.symbol} ({symmetry.number})"
    if settings.frame == "given":
        return f"axes: those of the structure as given; {group}"
    if symmetry.number <= 2:
        return f"axes: those of the structure as given, which is triclinic; {group}"
    return (
        "axes: the conventional cell as spglib standardises it, a along x, b in the xy "
        f"plane; {group}"
    )
