"""Prototypes of AFLOW's library with other elements on their sites.

The library is that of Mehl et al., Comput. Mater. Sci. 136 (2017) S1, which pymatgen
carries.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

from pretraining.chemistry import draw_elements
from pretraining.prototypes import scale_to_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ATOMS: Final = 30
TIMES: Final = {1: 4, 2: 8, 3: 36, 4: 60, 5: 60}
"""Decorations of each prototype, by its number of elements: of rare kinds more."""
CONTACT: Final = 1.05
"""Closest pair over the sum of its covalent radii."""
LEAST_VOLUME: Final = 6.0
MOST_VOLUME: Final = 60.0
"""Å³ for each atom."""


@functools.lru_cache(maxsize=1)
def published() -> tuple[Atoms, ...]:
    """Return the library's primitive cells of at most `MOST_ATOMS` atoms."""
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    found = []
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        structure = entry["snl"].structure.get_primitive_structure()
        if len(structure) <= MOST_ATOMS and structure.is_ordered:
            numbers = [site.specie.Z for site in structure]
            atoms = Atoms(numbers, cell=structure.lattice.matrix, pbc=True)
            atoms.set_scaled_positions(structure.frac_coords)
            found.append(atoms)
    return tuple(found)


def decorated(rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield the library's cells with drawn elements, at usual volumes."""
    for prototype in published():
        kinds, counts = np.unique(prototype.numbers, return_counts=True)
        for _ in range(TIMES[len(kinds)]):
            elements = draw_elements(counts.tolist(), rng)
            if elements is None:
                continue
            atoms = prototype.copy()
            for kind, element in zip(kinds, elements, strict=True):
                atoms.symbols[prototype.numbers == kind] = element
            yield at_usual_volume(atoms)


def at_usual_volume(atoms: Atoms) -> Atoms:
    """Return a copy with the volume that bonds of these elements have elsewhere.

    By data-mined lattice scaling (Chu et al., Comput. Mater. Sci. 146 (2018) 184), as
    pymatgen has it; at contact of the closest pair where that does not apply.
    """
    from pymatgen.analysis.structure_prediction.volume_predictor import (
        DLSVolumePredictor,
    )
    from pymatgen.io.ase import AseAtomsAdaptor

    start = scale_to_ratio(atoms, CONTACT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            volume = DLSVolumePredictor().predict(AseAtomsAdaptor.get_structure(start))
        except (ValueError, ZeroDivisionError):
            return start
    if not LEAST_VOLUME < volume / len(atoms) < MOST_VOLUME:
        return start
    factor = (volume / start.get_volume()) ** (1 / 3)
    start.set_cell(start.cell * factor, scale_atoms=True)
    return start
