"""Phonons by finite displacements; the door to phonopy.

Harmonic, and without the electric field of longitudinal optical modes: a potential
knows no Born charges, so in an ionic crystal LO and TO modes meet at Γ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.properties.phonons.settings import PhononsConfig

    Array = NDArray[np.float64]

SMALL_Q: Final = 0.01
"""Length of the wave vectors that the speed of sound is read at, 2π/Å."""
BAND_POINTS: Final = 200
"""Points of a band structure."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Frequencies along a path through the Brillouin zone.

    Attributes
    ----------
    distances
        (n,), along the path, 1/Å.
    frequencies
        (n, n_bands), THz; imaginary ones are negative.
    ticks, labels
        Where the special points are, and what they are called.
    """

    distances: Array
    frequencies: Array
    ticks: Array
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Frequencies on an even mesh.

    Attributes
    ----------
    frequencies
        (n_q, n_bands), THz.
    weights
        (n_q,), multiplicities.
    dos_frequencies, dos
        (m,), THz and states per THz and primitive cell.
    """

    frequencies: Array
    weights: Array
    dos_frequencies: Array
    dos: Array

    def share_below(self, limit: float) -> float:
        """Return the share of modes below a frequency, THz."""
        below = (self.frequencies < limit).mean(axis=1)
        return float(np.average(below, weights=self.weights))


@dataclass(frozen=True, slots=True)
class Thermal:
    """Harmonic thermodynamics, per atom: J/(mol K), kJ/mol for the rest."""

    temperature: float
    heat_capacity: float
    entropy: float
    free_energy: float


def choose_supercell(atoms: Atoms, settings: PhononsConfig) -> tuple[int, int, int]:
    """Return the repeats of a cell that forces are computed in.

    Raises
    ------
    PropertyError
        The supercell has more atoms than allowed.
    """
    lengths = atoms.cell.lengths()
    found = settings.supercell or tuple(
        int(np.ceil(settings.min_length / length - 1e-6)) for length in lengths
    )
    n = len(atoms) * int(np.prod(found))
    if n > settings.max_atoms:
        shape = " × ".join(str(x) for x in found)
        msg = (
            f"phonons of {atoms.get_chemical_formula()} in {shape} cells need {n} "
            f"atoms, allowed are {settings.max_atoms}: choose a smaller cell, "
            "`supercell` or `min_length`, or raise `max_atoms`"
        )
        raise PropertyError(msg)
    return found[0], found[1], found[2]


class Phonons:
    """Displaced supercells of a crystal, and what their forces say.

    Parameters
    ----------
    atoms
        Relaxed crystal.
    supercell
        Repeats.
    displacement
        Å.
    symprec
        Tolerance of the symmetry that saves displacements, Å.
    """

    def __init__(
        self,
        atoms: Atoms,
        supercell: tuple[int, int, int],
        *,
        displacement: float,
        symprec: float,
    ) -> None:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms

        unit = PhonopyAtoms(
            symbols=atoms.get_chemical_symbols(),
            cell=atoms.cell.array,
            scaled_positions=atoms.get_scaled_positions(),
            masses=atoms.get_masses(),
        )
        with warnings.catch_warnings():  # it tells those who come from its version 3
            warnings.simplefilter("ignore")
            self._phonopy = Phonopy(unit, np.diag(supercell), symprec=symprec)
        self._phonopy.generate_displacements(distance=displacement)

    def displaced(self) -> list[Atoms]:
        """Return the supercells whose forces are needed; the first is undisplaced."""
        cells = self._phonopy.supercells_with_displacements or []
        return [_to_ase(cell) for cell in [self._phonopy.supercell, *cells]]

    def set_forces(self, forces: Sequence[Array]) -> float:
        """Set the forces of `displaced`, eV/Å; those of the first are subtracted.

        Returns
        -------
        float
            Largest frequency at Γ of the three acoustic modes, THz, before translations
            are projected out: how well forces obey the acoustic sum rule.
        """
        still = forces[0]
        self._phonopy.forces = [force - still for force in forces[1:]]
        self._phonopy.produce_force_constants(show_drift=False)
        at_gamma = self.frequencies(np.zeros((1, 3)))[0]
        self._phonopy.symmetrize_force_constants(show_drift=False)
        return float(np.sort(np.abs(at_gamma))[:3].max())

    @property
    def primitive(self) -> Atoms:
        """The primitive cell that bands belong to."""
        return _to_ase(self._phonopy.primitive)

    def frequencies(self, q_points: Array) -> Array:
        """Return frequencies, THz, at wave vectors, (n, 3), of the primitive cell."""
        self._phonopy.run_qpoints(q_points)
        found: Array = np.array(self._phonopy.qpoints.frequencies)
        return found

    def sound(self, direction: Array) -> Array:
        """Return the speeds of the three acoustic waves in a direction, km/s, rising.

        Parameters
        ----------
        direction
            (3,), Cartesian.
        """
        cell = self._phonopy.primitive.cell
        q = SMALL_Q * direction / np.linalg.norm(direction)
        lowest = np.sort(np.abs(self.frequencies((cell @ q)[None])[0]))[:3]
        return np.asarray(lowest / SMALL_Q * 0.1)  # Å THz is 0.1 km/s

    def bands(self) -> Bands:
        """Return the bands along ASE's path for the lattice."""
        path = self.primitive.cell.bandpath(npoints=BAND_POINTS)
        distances, ticks, labels = path.get_linear_kpoint_axis()
        return Bands(distances, self.frequencies(path.kpts), ticks, tuple(labels))

    def mesh(self, density: float) -> Mesh:
        """Return frequencies on a mesh that resolves so many Å, and their density."""
        self._phonopy.run_mesh(density)
        self._phonopy.run_total_dos()
        mesh, dos = self._phonopy.mesh, self._phonopy.total_dos
        return Mesh(
            np.array(mesh.frequencies),
            np.array(mesh.weights),
            np.array(dos.frequency_points),
            np.array(dos.dos),
        )

    def thermal(self, temperatures: Sequence[float]) -> list[Thermal]:
        """Return heat capacity and entropy of the last `mesh`, of real modes alone."""
        self._phonopy.run_thermal_properties(
            temperatures=list(temperatures), exclude_gamma_acoustic=True
        )
        found = self._phonopy.thermal_properties
        n = len(self._phonopy.primitive)
        return [
            Thermal(t, c / n, s / n, f / n)
            for t, c, s, f in zip(
                found.temperatures,
                found.heat_capacity,
                found.entropy,
                found.free_energy,
                strict=True,
            )
        ]


def _to_ase(cell: Any) -> Atoms:
    return Atoms(
        symbols=list(cell.symbols),
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        pbc=True,
    )
