"""Structures as MACE's graphs, and what a MACE model says of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from fire_core.backbones.sending import send, send_known
from fire_core.backbones.torch_types import default_dtype
from fire_core.errors import StructureError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import Kernels

QUANTITIES: Final = (
    *("energy", "forces", "stress", "virials", "dipole", "charges", "polarizability"),
)
LABELS: Final = frozenset(
    ["weight", *QUANTITIES, *(f"{name}_weight" for name in QUANTITIES)]
)
"""What mace-torch's graphs hold beside structures."""
VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class LoadedMace(Protocol):
    """What training and export need of `backbones.mace.MaceBackbone`."""

    name: str
    sha256: str
    model: Any
    device: Any
    dtype: Any
    kernels: Kernels
    numbers: list[int]
    cutoff: float

    def graph(self, atoms: Atoms, *, head: int = 0) -> Any:
        """Return a structure as MACE's graph."""

    def predict(self, frames: Sequence[Atoms]) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order."""

    def save(self, path: Any) -> None:
        """Write the model as mace-torch reads it."""

    def reload(self, path: Any) -> Backbone:
        """Return the model of another file on the same device, in the same type."""


def to_graph(
    atoms: Atoms, *, numbers: Sequence[int], cutoff: float, dtype: Any, head: int = 0
) -> Any:
    """Return a structure as MACE's graph.

    Parameters
    ----------
    atoms
        The structure.
    numbers
        Atomic numbers that the model knows, in its order.
    cutoff
        Å.
    dtype
        torch's.
    head
        Number of the readout head that it belongs to.

    Raises
    ------
    StructureError
        A position or the cell is not finite.
    """
    import torch
    from mace.data import AtomicData, Configuration
    from mace.tools import AtomicNumberTable

    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
        # the neighbour list would search through NaN for minutes
        msg = (
            f"{atoms.get_chemical_formula()} has a position or cell that is not "
            "finite; leave the structure out, or look where it came from"
        )
        raise StructureError(msg)
    config = Configuration(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        properties={},
        property_weights={},
        cell=atoms.cell.array,
        pbc=tuple(bool(p) for p in atoms.pbc),
    )
    with default_dtype(dtype):
        graph = AtomicData.from_config(
            config, z_table=AtomicNumberTable(list(numbers)), cutoff=cutoff
        )
    graph.head = torch.tensor(head)
    return graph


def to_batch(graphs: Sequence[Any], device: Any) -> Any:
    """Return MACE's batch of graphs on a device; the host knows edges and elements.

    What graphs are labelled with stays on the host: the loss has labels of its own.
    """
    from mace.tools.torch_geometric import Batch

    batch = Batch.from_data_list(list(graphs))
    wanted = [key for key in batch.keys if key not in LABELS]
    known = {name: batch[name] for name in ("edge_index", "node_attrs")}
    moved = batch.apply(lambda tensor: send(tensor, device), *wanted)
    for name, tensor in known.items():
        moved[name] = send_known(tensor, device)
    return moved


def predict_graphs(model: Any, graphs: Sequence[Any], device: Any) -> list[Label]:
    """Return the labels of graphs in one forward pass of a MACE model."""
    batch = to_batch(graphs, device)
    output = model(batch.to_dict(), compute_force=True, compute_stress=True)
    e0 = model.atomic_energies_fn.atomic_energies.detach().cpu().double()
    e0 = e0.reshape(-1, e0.shape[-1])[batch.head[batch.batch].cpu()]
    per_atom = (batch.node_attrs.cpu().double() * e0).sum(dim=1).numpy()
    forces = output["forces"].detach().cpu().double().numpy()
    stress = output["stress"].detach().cpu().double().numpy()
    interaction = interaction_energies(output).detach().cpu().double().numpy()
    return [
        Label(
            float(interaction[i] + per_atom[a:b].sum()),
            np.array(forces[a:b]),
            np.array([stress[i][j] for j in VOIGT]),
        )
        for i, (a, b) in enumerate(pairwise(batch.ptr.cpu().tolist()))
    ]


def interaction_energies(output: Mapping[str, Any]) -> Any:
    """Return what a MACE model predicts beside the reference energies, (n_graphs,), eV.

    A `ScaleShiftMACE` says it; of a plain `MACE` it is the sum of all contributions but
    the first.
    """
    if "interaction_energy" in output:
        return output["interaction_energy"]
    return output["contributions"][:, 1:].sum(dim=1)


def invariant_columns(model: Any) -> list[int]:
    """Return the columns of a MACE model's node features that rotations leave alone."""
    columns: list[int] = []
    start = 0
    for product in model.products:
        irreps = product.linear.irreps_out
        for block, (_, irrep) in zip(irreps.slices(), irreps, strict=True):
            if irrep.l == 0:
                columns += range(start + block.start, start + block.stop)
        start += irreps.dim
    return columns
