"""Structures as CHGNet's graphs, and what a CHGNet says of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

GPA: Final = 1.0 / 160.21766208  # eV/Å³ in a GPa
VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class ChgnetGraph:
    """A structure as CHGNet takes it, with its numbers of atoms and pairs."""

    crystal: Any
    num_nodes: int
    num_edges: int


def to_graph(model: Any, atoms: Atoms) -> ChgnetGraph:
    """Return a structure as a graph of CHGNet's converter."""
    from pymatgen.io.ase import AseAtomsAdaptor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on isolated atoms
        crystal = model.graph_converter(AseAtomsAdaptor.get_structure(atoms))
    return ChgnetGraph(crystal, len(atoms), len(crystal.atom_graph))


def predict_graphs(model: Any, graphs: Sequence[ChgnetGraph]) -> list[Label]:
    """Return the labels of graphs in one forward pass."""
    crystals = [graph.crystal for graph in graphs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = model.predict_graph(crystals, task="efs", batch_size=len(crystals))
    outputs = [outputs] if isinstance(outputs, dict) else outputs
    return [
        _label(out, graph.num_nodes) for out, graph in zip(outputs, graphs, strict=True)
    ]


def _label(output: dict[str, Any], n_atoms: int) -> Label:
    stress = np.asarray(output["s"], np.float64) * GPA
    voigt = np.array([stress[i, j] for i, j in VOIGT])
    return Label(
        float(output["e"]) * n_atoms, np.asarray(output["f"], np.float64), voigt
    )
