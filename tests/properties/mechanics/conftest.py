"""Pair potentials whose elastic constants are known, and measurements in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress

from fire_core.properties.request import PropertyRequest
from fire_core.records import Label
from fire_core.testing.properties import MemoryMeasurement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIGMA = 3.405  # Å, argon: Rahman, Phys. Rev. 136 (1964) A405
EPSILON = 0.01032  # eV


@dataclass(frozen=True)
class Pair:
    """A pair potential: energy, first and second derivative by distance, cutoff."""

    energy: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array]
    cutoff: float


def lennard_jones(cutoff: float, epsilon: float = EPSILON) -> Pair:
    """Truncated and not shifted."""

    def energy(r: Array) -> Array:
        return 4 * epsilon * ((SIGMA / r) ** 12 - (SIGMA / r) ** 6)

    def slope(r: Array) -> Array:
        return 4 * epsilon * (-12 * (SIGMA / r) ** 12 + 6 * (SIGMA / r) ** 6) / r

    def bend(r: Array) -> Array:
        return 4 * epsilon * (156 * (SIGMA / r) ** 12 - 42 * (SIGMA / r) ** 6) / r**2

    return Pair(energy, slope, bend, cutoff)


def springs(a: float, near: float, far: float) -> Pair:
    """Springs at rest over a cube's edge (stiffness `near`) and face diagonal."""

    def at(r: Array, values: tuple[Array, Array]) -> Array:
        return np.where(r < 1.2 * a, *values)

    def energy(r: Array) -> Array:
        long = np.sqrt(2) * a
        return at(r, (near * (r - a) ** 2 / 2, far * (r - long) ** 2 / 2))

    def slope(r: Array) -> Array:
        return at(r, (near * (r - a), far * (r - np.sqrt(2) * a)))

    def bend(r: Array) -> Array:
        return at(r, (np.full_like(r, near), np.full_like(r, far)))

    return Pair(energy, slope, bend, 1.6 * a)


class PairCalculator(Calculator):  # type: ignore[misc]
    """A pair potential with every image within the cutoff."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        super().calculate(atoms, list(properties), list(system_changes))
        i, vectors, r = neighbor_list("iDd", self.atoms, self.pair.cutoff)
        pulls = (self.pair.slope(r) / r)[:, None] * vectors
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, pulls)
        self.results = {
            "energy": 0.5 * float(self.pair.energy(r).sum()),
            "forces": forces,
        }
        if self.atoms.cell.rank == 3:
            stress = 0.5 * pulls.T @ vectors / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)


def lattice_sum(atoms: Atoms, pair: Pair) -> Array:
    """Elastic constants of a Bravais crystal without stress, (6, 6), eV/Å³.

    C_ijkl = 1/(2 V) Σ (φ'' - φ'/r) r_i r_j r_k r_l / r² over the neighbours of an atom
    (Born and Huang, Dynamical Theory of Crystal Lattices, section 29).
    """
    _, vectors, r = neighbor_list("iDd", atoms, pair.cutoff)
    weight = (pair.bend(r) - pair.slope(r) / r) / r**2
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    products = np.stack([vectors[:, i] * vectors[:, j] for i, j in pairs], axis=1)
    return 0.5 * (products * weight[:, None]).T @ products / atoms.get_volume()


class PairBackbone:
    """A pair potential behind the face that measurements see."""

    name = "pair"
    elements = frozenset({"Ar", "Ne"})
    sha256 = "pair"

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.cutoff = pair.cutoff

    def calculator(self) -> PairCalculator:
        return PairCalculator(self.pair)

    def predict(self, frames: Sequence[Atoms], *, batch_atoms: int = 0) -> list[Label]:
        labels = []
        for frame in frames:
            atoms = frame.copy()
            atoms.calc = self.calculator()
            stress = atoms.get_stress() if atoms.cell.rank == 3 else None
            labels.append(
                Label(atoms.get_potential_energy(), atoms.get_forces(), stress)
            )
        return labels


def in_memory(
    atoms: Atoms | None,
    backbone: Any,
    measure: dict[str, Any],
    system: dict[str, Any] | None = None,
) -> MemoryMeasurement:
    """Return a measurement without a store, of these atoms and this model."""
    request = PropertyRequest.model_validate(
        {
            "name": "test",
            "system": system or {"kind": "crystal", "crystal": "LiCl"},
            "measure": measure,
        }
    )
    return MemoryMeasurement(request, atoms=atoms, backbone=backbone)


def values_of(result: Any) -> dict[str, Any]:
    """Values by name, averages and directions told apart."""
    found = {}
    for value in result.values:
        extra = [value.conditions[k] for k in ("average",) if k in value.conditions]
        if "direction" in value.conditions:
            extra = [value.note.split()[0]]
        found["_".join([value.name, *extra])] = value
    return found
