"""Which elements may sit on the sites of a prototype: charges that can balance."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Final

from pymatgen.core import Element

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

ELEMENTS: Final = (
    *("H", "Li", "B", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K"),
    *("Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As"),
    *("Se", "Br", "Sr", "Y", "Zr", "Nb", "Mo", "In", "Sn", "Sb", "Te", "I", "Ba"),
    *("La", "Ta", "W"),
)
"""Of batteries: the six systems, electrodes, their coatings, solid electrolytes."""
ANIONS: Final = {
    "O": 8.0, "S": 3.0, "F": 3.0, "Cl": 2.0, "N": 1.5, "Se": 1.5, "Br": 1.0,
    "P": 1.0, "I": 0.7, "Te": 0.7, "C": 0.7, "H": 0.5,
}  # fmt: skip
"""How often each is drawn; the order of weights is that of the Materials Project."""
INTERMETALLIC: Final = 0.15
"""Part of the decorations whose charges need not balance."""
TRIES: Final = 60


@functools.cache
def charges(element: str) -> tuple[int, ...]:
    """Return the common oxidation states of an element, e."""
    found = (
        Element(element).common_oxidation_states or Element(element).oxidation_states
    )
    return tuple(int(state) for state in found if state)


def balances(elements: Sequence[str], counts: Sequence[int]) -> bool:
    """Return whether some choice of common oxidation states adds up to no charge.

    Parameters
    ----------
    elements
        One for each kind of site.
    counts
        Sites of each kind.
    """
    return any(
        sum(c * n for c, n in zip(states, counts, strict=True)) == 0
        for states in itertools.product(*map(charges, elements))
    )


def draw_elements(
    counts: Sequence[int], rng: np.random.Generator
) -> tuple[str, ...] | None:
    """Draw an element for each kind of site; None where no try has balanced.

    Most often an anion sits on the sites there are most of, and charges balance.
    """
    names = list(ANIONS)
    weights = [ANIONS[name] / sum(ANIONS.values()) for name in names]
    metals = [e for e in ELEMENTS if e not in {"O", "F", "Cl", "Br", "I", "S", "N"}]
    if rng.uniform() < INTERMETALLIC:
        chosen = rng.choice(metals, len(counts), replace=False)
        return tuple(str(e) for e in chosen)
    most = max(range(len(counts)), key=lambda kind: counts[kind])
    for _ in range(TRIES):
        place = most if rng.uniform() < 0.8 else int(rng.integers(len(counts)))
        elements = [str(e) for e in rng.choice(ELEMENTS, len(counts), replace=False)]
        elements[place] = str(rng.choice(names, p=weights))
        distinct = len(set(elements)) == len(elements)
        if distinct and balances(elements, counts):
            return tuple(elements)
    return None
