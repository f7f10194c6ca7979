"""Structures that the contracts of backbones try, made from one crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_numbers

from fire_core.errors import FireError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone

VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def turn(atoms: Atoms) -> tuple[Atoms, NDArray[np.float64]]:
    """Return a copy turned and shifted; vectors `v` of it become `v @ rotation`."""
    turned = atoms.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    turned.positions += [0.3, -1.7, 2.2]
    return turned, np.linalg.solve(atoms.cell.array, turned.cell.array)


def rattled(atoms: Atoms, n: int, seed: int, width: float = 0.05) -> list[Atoms]:
    """Return copies with every atom displaced by some `width` Å."""
    rng = np.random.default_rng(seed)
    frames = [atoms.copy() for _ in range(n)]
    for frame in frames:
        frame.positions += rng.normal(0, width, frame.positions.shape)
    return frames


def of_other_elements(backbone: Backbone, atoms: Atoms) -> Atoms:
    """Return a copy of elements that the backbone knows and `atoms` has not."""
    own = sorted(set(atoms.get_chemical_symbols()))
    others = sorted(backbone.elements - set(own), key=atomic_numbers.__getitem__)
    if not others:
        pytest.skip(f"{backbone.name} knows no element beside {', '.join(own)}")
    swap = {symbol: others[i % len(others)] for i, symbol in enumerate(own)}
    copy = atoms.copy()
    copy.symbols = [swap[symbol] for symbol in atoms.get_chemical_symbols()]
    return copy


def large(atoms: Atoms) -> Atoms:
    """Return a rattled supercell of more than 200 atoms."""
    repeats = int(np.ceil((200 / len(atoms)) ** (1 / 3)))
    (frame,) = rattled(atoms * (repeats, repeats, repeats), 1, 5, 0.02)
    return frame


def lonely(atoms: Atoms, cutoff: float) -> Atoms:
    """Return one atom in a periodic cell in which it sees nobody, not even itself."""
    side = 3 * cutoff + 2.0
    return Atoms(atoms.symbols[:1], cell=np.eye(3) * side, pbc=True)


def small(atoms: Atoms) -> Atoms:
    """Return one atom in a cell that is far smaller than a cutoff, and oblique."""
    side = 0.75 * (atoms.get_volume() / len(atoms)) ** (1 / 3) * 2 ** (1 / 3)
    vectors = side * np.array([[1.1, 0.1, 0.0], [0.5, 1.05, 0.0], [0.45, 0.3, 1.0]])
    return Atoms(atoms.symbols[:1], cell=vectors, pbc=True)


def batch(backbone: Backbone, atoms: Atoms) -> list[Atoms]:
    """Return frames of every kind that have to get along in one batch.

    A backbone may refuse an atom that sees nobody, if it says so.
    """
    alone = [lonely(atoms, backbone.cutoff)]
    try:
        backbone.predict(alone)
    except FireError:
        alone = []
    middle = [large(atoms), small(atoms), *rattled(atoms, 1, 6)]
    return [atoms, *alone, *middle, *alone]


def tensor(voigt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a stress in Voigt's order as a symmetric matrix, (3, 3)."""
    matrix = np.zeros((3, 3))
    for value, (i, j) in zip(voigt, VOIGT, strict=True):
        matrix[i, j] = matrix[j, i] = value
    return matrix


def strained(atoms: Atoms, i: int, j: int, amount: float) -> Atoms:
    """Return a copy under a symmetric strain of one component."""
    strain = np.eye(3)
    strain[i, j] += amount / 2
    strain[j, i] += amount / 2
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return copy


def in_vacuum(atoms: Atoms, axes: tuple[int, ...], cutoff: float) -> Atoms:
    """Return a fully periodic copy with empty space along some axes.

    Atoms keep their positions; nobody sees an image of anybody along these axes.
    """
    copy = atoms.copy()
    cell = copy.cell.array.copy()
    normal = np.linalg.inv(cell).T  # rows: normals of the faces, of length 1 / height
    for axis in axes:
        direction = normal[axis] / np.linalg.norm(normal[axis])
        extent = float(np.ptp(copy.positions @ direction))
        cell[axis] = direction * (extent + 2 * cutoff + 2.0)
    copy.set_cell(cell)
    copy.set_pbc(True)
    return copy
