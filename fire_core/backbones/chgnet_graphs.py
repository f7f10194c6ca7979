"""Structures as CHGNet's graphs: bonds within 6 Å, and angles between short ones.

A bond joins two atoms, or an atom and an image, and is kept once; both of its
directions follow from it. The package's own converter goes by pymatgen and Python
objects, one for each bond, and stores coordinates in single precision; here a bond is
a column of numbers and its vector is computed in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.geometry import complete_cell

from fire_core.backbones.sending import host_of, send_known
from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from ase import Atoms
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ChgnetGraph:
    """A structure and its bonds.

    Attributes
    ----------
    numbers
        Atomic numbers, (n_atoms,).
    pairs
        The two atoms of each bond, (2, n_bonds).
    vectors
        From the second atom of each bond, an image of it as a rule, to the first,
        (n_bonds, 3), Å.
    volume
        Å³; of a structure without a cell, that of no meaning.
    periodic
        Whether it repeats in all directions, so that it has a stress.
    """

    numbers: NDArray[np.int64]
    pairs: NDArray[np.int64]
    vectors: NDArray[np.float64]
    volume: float
    periodic: bool

    @property
    def num_nodes(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def num_edges(self) -> int:
        """Number of bonds, each in both directions."""
        return 2 * len(self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class ChgnetBatch:
    """Graphs side by side, as tensors on one device.

    Attributes
    ----------
    numbers, owner
        Atomic number of each atom and the graph that it belongs to, (n_atoms,).
    pairs, vectors
        As in `ChgnetGraph`, atoms counted through all graphs; vectors in float64.
    volumes
        Of each graph, (n_graphs,), Å³, float64.
    """

    numbers: torch.Tensor
    owner: torch.Tensor
    pairs: torch.Tensor
    vectors: torch.Tensor
    volumes: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Angles:
    """Ordered pairs of different bonds that start at one atom.

    Attributes
    ----------
    center
        The atom of each angle, (n_angles,).
    left, right
        Its two bonds as directed ones, (n_angles,): of n bonds, i is bond i from its
        first atom, n + i the same from its second.
    """

    center: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor


def to_graph(atoms: Atoms, cutoff: float) -> ChgnetGraph:
    """Return a structure with its bonds up to `cutoff` Å.

    Directions that are not periodic have no images; an atom far from all others has
    no bond.

    Raises
    ------
    StructureError
        A position or the cell is not finite.
    """
    from vesin import NeighborList

    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
        msg = (
            f"{atoms.get_chemical_formula()} has a position or cell that is not "
            "finite; leave the structure out, or look where it came from"
        )
        raise StructureError(msg)
    cell = complete_cell(atoms.cell.array)
    first, second, vectors = NeighborList(cutoff=cutoff, full_list=False).compute(
        atoms.positions, cell, atoms.pbc.tolist(), "ijD"
    )
    return ChgnetGraph(
        atoms.numbers.astype(np.int64),
        np.stack([first, second]).astype(np.int64),
        -np.asarray(vectors, np.float64).reshape(-1, 3),
        float(abs(np.linalg.det(cell))),
        bool(atoms.pbc.all()),
    )


def join(graphs: Sequence[ChgnetGraph], device: Any) -> ChgnetBatch:
    """Return graphs side by side."""
    import torch

    sizes = np.array([graph.num_nodes for graph in graphs])
    starts = np.cumsum(sizes) - sizes
    pairs = [graph.pairs + start for graph, start in zip(graphs, starts, strict=True)]
    parts = (
        np.concatenate([graph.numbers for graph in graphs]),
        np.repeat(np.arange(len(graphs)), sizes),
        np.concatenate(pairs, axis=1),
        np.concatenate([graph.vectors for graph in graphs]),
        np.array([graph.volume for graph in graphs]),
    )
    return ChgnetBatch(*(send_known(torch.from_numpy(p), device) for p in parts))


@dataclass(frozen=True, slots=True, eq=False)
class ShortBonds:
    """Bonds that angles are made of, and how many these are.

    Attributes
    ----------
    index
        Which bonds, (n_short,).
    counts
        How many of them start at each atom, in either direction, (n_atoms,).
    n_angles
        Ordered pairs of different ones that start at one atom, known to the host.
    """

    index: torch.Tensor
    counts: torch.Tensor
    n_angles: int


def find_short(batch: ChgnetBatch, lengths: torch.Tensor, reach: float) -> ShortBonds:
    """Return the bonds shorter than `reach` Å.

    Where the host knows the bonds it chooses them, so that it need not wait for the
    device; else it looks at the device once.

    Parameters
    ----------
    batch
        Bonds.
    lengths
        Of the bonds, (n_bonds,), Å, on the batch's device.
    reach
        Å.
    """
    import torch

    n_atoms = len(batch.numbers)
    vectors, pairs = host_of(batch.vectors), host_of(batch.pairs)
    elsewhere = lengths.device.type != "cpu"
    if elsewhere and vectors is not None and pairs is not None:
        known = (torch.linalg.vector_norm(vectors, dim=1) < reach).nonzero()[:, 0]
        on_host = _count(pairs[:, known], n_atoms)
        index = send_known(known, lengths.device)
        counts = _count(batch.pairs.index_select(1, index), n_atoms)
        return ShortBonds(index, counts, int((on_host * (on_host - 1)).sum()))
    within = lengths < reach
    ones = within.repeat(2).to(batch.pairs.dtype)
    counts = ones.new_zeros(n_atoms).index_add(0, batch.pairs.reshape(-1), ones)
    sizes = torch.stack([within.sum(), (counts * (counts - 1)).sum()]).tolist()
    index = torch.nonzero_static(within, size=sizes[0])[:, 0]
    return ShortBonds(index, counts, sizes[1])


def _count(pairs: torch.Tensor, n_atoms: int) -> torch.Tensor:
    """Return how many bonds, (2, n_bonds), start at each atom, in either direction."""
    import torch

    starts = pairs.reshape(-1)
    return starts.new_zeros(n_atoms).index_add(0, starts, torch.ones_like(starts))


def find_angles(pairs: torch.Tensor, counts: torch.Tensor, n_angles: int) -> Angles:
    """Return every ordered pair of bonds that start at one atom.

    Parameters
    ----------
    pairs
        The two atoms of each bond, (2, n_bonds).
    counts
        How many bonds start at each atom, (n_atoms,).
    n_angles
        Sum of n (n - 1) over these counts, which the host has to know.
    """
    import torch

    starts_at = pairs.reshape(-1)
    order = torch.argsort(starts_at, stable=True)
    before = torch.cumsum(counts, 0) - counts
    atom = starts_at[order]
    partners = counts[atom]
    places = torch.arange(len(order), device=pairs.device)
    n_both = n_angles + len(order)  # a bond with itself among them
    left = torch.repeat_interleave(places, partners, output_size=n_both)
    first = before[atom] - (torch.cumsum(partners, 0) - partners)
    right = torch.repeat_interleave(first, partners, output_size=n_both)
    right = right + torch.arange(n_both, device=pairs.device)
    other = torch.nonzero_static(left != right, size=n_angles)[:, 0]
    left, right = order[left[other]], order[right[other]]
    return Angles(starts_at[left], left, right)
