"""Periodic structures as LAMMPS holds them: real atoms and their ghost images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """A structure without periodicity among the images around it.

    Attributes
    ----------
    atoms
        Real atoms first, then ghosts; not periodic.
    owner
        (n,), the real atom that each is an image of.
    """

    atoms: Atoms
    owner: NDArray[np.int64]

    @property
    def is_local(self) -> NDArray[np.bool_]:
        """Whether each atom is real, (n,)."""
        return np.arange(len(self.owner)) <= int(self.owner.max())


def surround(atoms: Atoms, reach: float) -> Cluster:
    """Add every periodic image within `reach` Å of a real atom as a ghost."""
    first, owner, shift = neighbor_list("ijS", atoms, reach)
    del first
    images = np.unique(np.column_stack([owner, shift]), axis=0)
    images = images[(images[:, 1:] != 0).any(axis=1)]
    positions = atoms.positions[images[:, 0]] + images[:, 1:] @ atoms.cell.array
    everyone = np.concatenate([np.arange(len(atoms)), images[:, 0]])
    cluster = Atoms(
        atoms.numbers[everyone], positions=np.concatenate([atoms.positions, positions])
    )
    return Cluster(cluster, everyone)


def fold_forces(forces: Array, owner: NDArray[np.int64], n_real: int) -> Array:
    """Add the forces on ghosts to their owners', as LAMMPS' reverse exchange does."""
    folded = np.zeros((n_real, 3))
    np.add.at(folded, owner, forces)
    return folded


class LammpsPairs:
    """What LAMMPS' ML-IAP interface hands to a model, filled for one structure.

    The names are LAMMPS' (`mliap_unified_couple_kokkos`), which mace-torch reads.

    Attributes
    ----------
    nlocal, ntotal, npairs
        Numbers of real atoms, of all, and of pairs whose first atom is real.
    elems
        (ntotal,), index of each atom's element among the model's.
    rij
        (npairs, 3), from the first to the second atom, Å.
    pair_i, pair_j
        (npairs,), the two atoms of each pair.
    owner
        (ntotal,), the real atom that each is an image of.
    eatoms, energy
        Energy of each real atom and of all, eV; filled by the model.
    forces
        (ntotal, 3), eV/Å; filled by the model.
    """

    def __init__(
        self,
        elems: NDArray[np.int64],
        rij: Array,
        pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
        owner: NDArray[np.int64],
    ) -> None:
        self.nlocal = int(owner.max()) + 1
        self.ntotal = len(owner)
        self.npairs = len(rij)
        self.elems = elems
        self.rij = rij
        self.pair_i, self.pair_j = pairs
        self.owner = owner
        self.eatoms = np.zeros(self.nlocal)
        self.energy = 0.0
        self.forces = np.zeros((self.ntotal, 3))

    def forward_exchange(self, source: Any, target: Any, _length: int) -> None:
        """Copy to every ghost its owner's features."""
        target.copy_(source[self.owner])

    def reverse_exchange(self, source: Any, target: Any, _length: int) -> None:
        """Add the gradients of ghosts to their owners'."""
        target.zero_()
        target.index_add_(0, source.new_tensor(self.owner).long(), source)

    def update_pair_forces_gpu(self, pair_forces: Any) -> None:
        """Add f_ij to the first atom of each pair and take it from the second."""
        values = pair_forces.detach().cpu().double().numpy()
        np.add.at(self.forces, self.pair_i, values)
        np.subtract.at(self.forces, self.pair_j, values)


def copy_ghosts(atoms: Atoms, cutoff: float, elements: Sequence[str]) -> LammpsPairs:
    """List the pairs of a periodic structure within `cutoff` Å as LAMMPS would."""
    first, second, vectors, shift = neighbor_list("ijDS", atoms, cutoff)
    images = np.column_stack([second, shift])
    unique, inverse = np.unique(images, axis=0, return_inverse=True)
    is_real = (unique[:, 1:] == 0).all(axis=1)
    place = np.empty(len(unique), np.int64)
    place[is_real] = unique[is_real, 0]
    place[~is_real] = len(atoms) + np.arange(int((~is_real).sum()))
    owner = np.concatenate([np.arange(len(atoms)), unique[~is_real, 0]])
    index = {symbol: i for i, symbol in enumerate(elements)}
    kinds = np.array([index[s] for s in atoms.get_chemical_symbols()])
    pairs = (first.astype(np.int64), place[inverse.ravel()])
    return LammpsPairs(kinds[owner], vectors, pairs, owner)
