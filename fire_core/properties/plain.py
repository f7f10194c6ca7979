"""Structures as plain numbers, for the parts of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase import Atoms

if TYPE_CHECKING:
    from fire_core.records import JsonDict


def atoms_to_json(atoms: Atoms) -> JsonDict:
    """Return species, positions (Å), cell (Å) and periodicity as plain lists."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def json_to_atoms(data: dict[str, Any]) -> Atoms:
    """Return the structure that `atoms_to_json` wrote, to the last bit."""
    names = ("numbers", "positions", "cell", "pbc")
    return Atoms(**{name: data[name] for name in names})
