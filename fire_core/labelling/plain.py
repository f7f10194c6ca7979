"""Structures and labels as plain JSON, between processes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from fire_core.records import Label

JsonDict = dict[str, Any]


def atoms_to_dict(atoms: Atoms) -> JsonDict:
    """Return species, positions, cell and periodicity as plain lists."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def dict_to_atoms(data: JsonDict) -> Atoms:
    """Return the structure of `atoms_to_dict`."""
    return Atoms(**data)


def label_to_dict(label: Label) -> JsonDict:
    """Return a label as plain numbers and lists."""
    return {
        "energy": label.energy,
        "forces": label.forces.tolist(),
        "stress": None if label.stress is None else label.stress.tolist(),
    }


def dict_to_label(data: JsonDict) -> Label:
    """Return the label of `label_to_dict`, exact to the last bit."""
    stress = data["stress"]
    return Label(
        float(data["energy"]),
        np.array(data["forces"], dtype=np.float64).reshape(-1, 3),
        None if stress is None else np.array(stress, dtype=np.float64),
    )
