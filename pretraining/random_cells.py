"""Random cells of balanced composition, as random structure searches begin with.

After Pickard and Needs, J. Phys.: Condens. Matter 23 (2011) 053201: sensible volumes
and distances, nothing else. Relaxing them passes through bonds of every kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import get_distances

from pretraining.chemistry import draw_elements
from pretraining.prototypes import scale_to_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMULAS: Final = (
    *((1, 1), (1, 2), (2, 3), (1, 3), (1, 4), (2, 5), (1, 1, 2), (1, 1, 3), (1, 1, 4)),
    *((2, 1, 4), (3, 1, 4), (1, 2, 4), (2, 1, 3), (1, 1, 1), (2, 2, 7), (1, 1, 1, 3)),
    *((1, 1, 1, 4), (2, 1, 1, 4), (1, 1, 2, 6), (3, 1, 4, 1), (1, 1, 1, 5)),
)
MOST_ATOMS: Final = 20
PACKING: Final = 0.34
"""Volume of covalent spheres over that of the cell, of rock-salt and the like."""
CLOSEST: Final = 0.75
"""Least distance, in sums of covalent radii; what is nearer is drawn again."""
TRIES: Final = 200


def random_cells(n: int, rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield `n` cells, or fewer where atoms found no room."""
    for _ in range(n):
        formula = FORMULAS[int(rng.integers(len(FORMULAS)))]
        elements = draw_elements(formula, rng)
        if elements is None:
            continue
        units = int(rng.integers(1, max(2, MOST_ATOMS // sum(formula)) + 1))
        symbols = [
            element
            for element, count in zip(elements, formula, strict=True)
            for _ in range(count * units)
        ]
        atoms = _placed(symbols, rng)
        if atoms is not None:
            yield atoms


def _placed(symbols: list[str], rng: np.random.Generator) -> Atoms | None:
    radii = np.array([covalent_radii[atomic_numbers[s]] for s in symbols])
    shape = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3))
    volume = 4 / 3 * np.pi * (radii**3).sum() / PACKING
    cell = shape * (volume / abs(np.linalg.det(shape))) ** (1 / 3)
    places: list[np.ndarray] = []
    for i in range(len(symbols)):
        for _ in range(TRIES):
            place = rng.uniform(size=3) @ cell
            if not places:
                break
            _, apart = get_distances([place], places, cell=cell, pbc=True)
            if (apart[0] > CLOSEST * (radii[i] + radii[: len(places)])).all():
                break
        else:
            return None
        places.append(place)
    atoms = Atoms(symbols, positions=places, cell=cell, pbc=True)
    return scale_to_ratio(atoms, 0.82) if len(atoms) > 1 else atoms
