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


def find_short(batch: ChgnetBatch, lengths: torch.Tensor, reach: float) -> torch.Tensor:
    """Return the bonds shorter than `reach` Å, (n_short,), known to the host.

    Parameters
    ----------
    batch
        Bonds; the host waits where it does not know their vectors.
    lengths
        Of the bonds, (n_bonds,), Å, on the batch's device.
    reach
        Å.
    """
    import torch

    known = host_of(batch.vectors)
    if known is None:
        return (lengths < reach).nonzero()[:, 0]
    near = torch.linalg.vector_norm(known, dim=1) < reach
    return send_known(near.nonzero()[:, 0], lengths.device)


def count_angles(batch: ChgnetBatch, short: torch.Tensor) -> int | None:
    """Return how many angles there are between short bonds; None: the host has to wait.

    Bonds that start at one atom are paired with each other and themselves.
    """
    pairs, known = host_of(batch.pairs), host_of(short)
    if pairs is None or known is None:
        return None
    return int(pairs[:, known].flatten().bincount().square().sum())


def find_angles(
    pairs: torch.Tensor, n_atoms: int, n_products: int | None = None
) -> Angles:
    """Return every ordered pair of bonds that start at one atom.

    Parameters
    ----------
    pairs
        The two atoms of each bond, (2, n_bonds).
    n_atoms
        Number of atoms.
    n_products
        Of `count_angles`; None: the host waits for it.
    """
    import torch

    starts_at = pairs.reshape(-1)
    order = torch.argsort(starts_at, stable=True)
    counts = starts_at.new_zeros(n_atoms)
    counts = counts.index_add_(0, starts_at, torch.ones_like(starts_at))
    before = torch.cumsum(counts, 0) - counts
    atom = starts_at[order]
    partners = counts[atom]
    total = int(partners.sum()) if n_products is None else n_products
    places = torch.arange(len(order), device=pairs.device)
    left = torch.repeat_interleave(places, partners, output_size=total)
    first = before[atom] - (torch.cumsum(partners, 0) - partners)
    right = torch.repeat_interleave(first, partners, output_size=total)
    right = right + torch.arange(total, device=pairs.device)
    # each bond is its own partner once: what is left has a size that is known
    other = _kept(left != right, total - len(order))
    left, right = order[left[other]], order[right[other]]
    return Angles(starts_at[left], left, right)


def _kept(mask: torch.Tensor, count: int) -> torch.Tensor:
    """Return where a mask is true, (count,), which is as often as the host says."""
    import torch

    places = torch.where(mask, torch.cumsum(mask, 0) - 1, count)
    found = torch.empty(count + 1, dtype=torch.long, device=mask.device)
    found.index_copy_(0, places, torch.arange(len(mask), device=mask.device))
    return found[:count]
