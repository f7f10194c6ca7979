"""Structures as SevenNet's graphs, and what a network says of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from fire_core.backbones.sending import send, send_known
from fire_core.backbones.trainable import Prediction
from fire_core.errors import StructureError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from ase import Atoms
    from numpy.typing import NDArray


class LoadedSevennet(Protocol):
    """What training needs of `backbones.sevennet.SevennetBackbone`."""

    name: str
    model: Any
    notice: dict[str, str]
    device: Any
    dtype: Any

    def graph(self, atoms: Atoms) -> SevennetGraph:
        """Return a structure as the network takes it."""


VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class SevennetGraph:
    """A structure, or several one after the other, as the network takes it.

    Attributes
    ----------
    kinds
        (n_atoms,), index of each atom's element.
    vectors
        (n_pairs, 3), from the first to the second atom of each pair, Å.
    pairs
        (2, n_pairs), atoms within the cutoff of each other; each pair once.
    owner
        (n_atoms,), number of the structure that each atom belongs to.
    sizes
        Number of atoms of each structure.
    volumes
        (n_structures,), Å³; infinite where it is not periodic along all axes.
    """

    kinds: torch.Tensor
    vectors: torch.Tensor
    pairs: torch.Tensor
    owner: torch.Tensor
    sizes: tuple[int, ...]
    volumes: torch.Tensor

    @property
    def num_nodes(self) -> int:
        """Number of atoms."""
        return len(self.kinds)

    @property
    def num_edges(self) -> int:
        """Number of neighbours of all atoms: twice that of pairs."""
        return 2 * len(self.vectors)


def to_graph(
    atoms: Atoms, *, index: dict[str, int], cutoff: float, dtype: Any
) -> SevennetGraph:
    """Return a structure as a graph.

    Parameters
    ----------
    atoms
        The structure; its elements are keys of `index`.
    index
        Number of each element, by its symbol.
    cutoff
        Å.
    dtype
        torch's.

    Raises
    ------
    StructureError
        A position or the cell is not finite.
    """
    import torch
    from ase.geometry import complete_cell
    from matscipy.neighbours import neighbour_list

    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
        # the neighbour list would search through NaN for minutes
        msg = (
            f"{atoms.get_chemical_formula()} has a position or cell that is not "
            "finite; leave the structure out, or look where it came from"
        )
        raise StructureError(msg)
    first, second, vectors, shifts = neighbour_list(
        "ijDS",
        cutoff=cutoff,
        positions=atoms.positions,
        cell=complete_cell(atoms.cell.array),
        pbc=atoms.pbc,
    )
    once = is_first_way(first, second, shifts)
    volume = abs(atoms.cell.volume) if atoms.pbc.all() else np.inf
    kinds = [index[symbol] for symbol in atoms.get_chemical_symbols()]
    return SevennetGraph(
        torch.tensor(kinds),
        torch.from_numpy(vectors[once]).to(dtype),
        torch.from_numpy(np.stack([first[once], second[once]])).long(),
        torch.zeros(len(atoms), dtype=torch.long),
        (len(atoms),),
        torch.tensor([volume], dtype=dtype),
    )


def is_first_way(
    first: NDArray[np.int_], second: NDArray[np.int_], shifts: NDArray[np.int_]
) -> NDArray[np.bool_]:
    """Return for each pair whether it is the one to keep of (i, j, S), (j, i, −S)."""
    x, y, z = shifts.T
    positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    kept: NDArray[np.bool_] = (first < second) | ((first == second) & positive)
    return kept


def join(graphs: Sequence[SevennetGraph], device: torch.device) -> SevennetGraph:
    """Return graphs one after the other, on a device."""
    import torch

    sizes = [size for graph in graphs for size in graph.sizes]
    atoms_before = list(accumulate((g.num_nodes for g in graphs), initial=0))
    before = list(accumulate((len(g.sizes) for g in graphs), initial=0))
    placed = list(zip(graphs, atoms_before, before, strict=False))
    joined = SevennetGraph(
        torch.cat([g.kinds for g in graphs]),
        torch.cat([g.vectors for g in graphs]),
        torch.cat([g.pairs + a for g, a, _ in placed], dim=1),
        torch.cat([g.owner + n for g, _, n in placed]),
        tuple(sizes),
        torch.cat([g.volumes for g in graphs]),
    )
    return move(joined, device)


def move(graph: SevennetGraph, device: torch.device) -> SevennetGraph:
    """Return a graph on a device."""
    return SevennetGraph(
        send_known(graph.kinds, device),
        send(graph.vectors, device),
        send_known(graph.pairs, device),
        send(graph.owner, device),
        graph.sizes,
        send(graph.volumes, device),
    )


def evaluate(
    module: Any, graph: SevennetGraph, *, stress: bool, training: bool
) -> Prediction:
    """Return interaction energies, forces and stresses of the structures of a graph.

    Forces are gathered from the slopes of the energy along each pair's vector, and the
    stress is the sum of vector times slope over the volume.

    Parameters
    ----------
    module
        A `kernels.nequip.NequipStack` on the graph's device.
    graph
        Of `join`.
    stress
        Whether stresses are computed.
    training
        Whether the result can be differentiated by the weights.

    Returns
    -------
    Prediction
        Its energies are without reference energies.
    """
    import torch

    vectors = graph.vectors.detach().requires_grad_(requires_grad=True)
    per_atom = module(graph.kinds, vectors, graph.pairs)
    energy = per_atom.new_zeros(len(graph.sizes)).index_add(0, graph.owner, per_atom)
    if graph.num_edges:
        (slopes,) = torch.autograd.grad(per_atom.sum(), vectors, create_graph=training)
    else:
        slopes = torch.zeros_like(graph.vectors)
    forces = slopes.new_zeros(graph.num_nodes, 3)
    forces = forces.index_add(0, graph.pairs[0], slopes)
    forces = forces.index_add(0, graph.pairs[1], -slopes)
    virial = None
    if stress:
        products = graph.vectors[:, :, None] * slopes[:, None, :]
        virial = products.new_zeros(len(graph.sizes), 3, 3).index_add(
            0, graph.owner[graph.pairs[0]], products
        )
        virial = (virial + virial.transpose(1, 2)) / (2 * graph.volumes[:, None, None])
    if not training:
        energy, forces = energy.detach(), forces.detach()
        virial = None if virial is None else virial.detach()
    return Prediction(energy, forces, virial)


def reference_energies(module: Any, graph: SevennetGraph) -> torch.Tensor:
    """Return the sum of the reference energies of each structure, eV, float64."""
    per_atom = module.shift.double()[graph.kinds]
    return per_atom.new_zeros(len(graph.sizes)).index_add_(0, graph.owner, per_atom)


def predict_graphs(
    module: Any, graphs: Sequence[SevennetGraph], device: torch.device
) -> list[Label]:
    """Return the labels of graphs in one pass; energies in double precision."""
    graph = join(graphs, device)
    found = evaluate(module, graph, stress=True, training=False)
    energies = (found.energy.double() + reference_energies(module, graph)).tolist()
    forces = found.forces.cpu().double().numpy()
    stress = None if found.stress is None else found.stress.cpu().double().numpy()
    bounds = pairwise(accumulate(graph.sizes, initial=0))
    return [
        Label(
            energies[i],
            np.array(forces[a:b]),
            None if stress is None else np.array([stress[i][j] for j in VOIGT]),
        )
        for i, (a, b) in enumerate(bounds)
    ]
