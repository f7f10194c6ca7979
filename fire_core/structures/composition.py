"""Whole numbers of ions that come nearest to partial occupancies and are neutral."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.structures.disorder import Orbit

SLACK: Final = 0.1
"""Share of an orbit's sites by which its filling may leave the given occupancy, beyond
one ion; more would be another material."""

ANION: Final = 2.5
"""Pauling electronegativity above which an element is taken for an anion (S 2.58)."""

Counts = tuple[tuple[tuple[str, int], ...], ...]
"""For each orbit (element, number of ions) pairs."""


def guess_oxidation(
    counts: Mapping[str, float], given: Mapping[str, float]
) -> dict[str, float]:
    """Return the charge of each element, e; zero for a metal alone.

    Charges not given come from pymatgen: its most frequent neutral combination (ICSD),
    or, where numbers of ions are not whole, its common charges nearest to neutrality,
    with the most electronegative element at its lowest.

    Parameters
    ----------
    counts
        Number of ions of each element, whole or not.
    given
        Charges that are known.

    Raises
    ------
    StructureError
        A charge is given for an element that is not there.
    """
    if unknown := sorted(set(given) - set(counts)):
        msg = (
            f"oxidation names {', '.join(unknown)}, the crystal holds "
            f"{', '.join(counts)}"
        )
        raise StructureError(msg)
    if set(given) == set(counts):
        return dict(given)
    if len(counts) == 1:
        return dict.fromkeys(counts, 0.0)
    return _frequent_charges(counts, given) or _near_charges(counts, given)


def _frequent_charges(
    counts: Mapping[str, float], given: Mapping[str, float]
) -> dict[str, float] | None:
    from pymatgen.core import Composition

    if any(abs(n - round(n)) > 1e-3 for n in counts.values()):
        return None
    composition = Composition({element: round(n) for element, n in counts.items()})
    guesses = composition.oxi_state_guesses(
        oxi_states_override={element: [charge] for element, charge in given.items()},
        max_sites=-1,  # the reduced formula: the number of combinations explodes
    )
    found = {str(k): float(v) for k, v in guesses[0].items()} if guesses else {}
    whole = all(v.is_integer() or k in given for k, v in found.items())
    return found if found and whole else None


def _near_charges(
    counts: Mapping[str, float], given: Mapping[str, float]
) -> dict[str, float]:
    from pymatgen.core import Element

    elements = sorted(counts, key=lambda e: Element(e).X)
    choices: list[tuple[float, ...]] = []
    for element in elements:
        common = Element(element).common_oxidation_states or (0,)
        negative = [charge for charge in common if charge < 0]
        if element in given:
            choices.append((given[element],))
        elif negative and (element == elements[-1] or Element(element).X > ANION):
            choices.append((float(min(negative)),))
        else:
            choices.append(tuple(float(c) for c in common if c > 0) or (0.0,))
    amounts = [counts[element] for element in elements]

    def off_balance(charges: tuple[float, ...]) -> tuple[float, float]:
        net = sum(c * n for c, n in zip(charges, amounts, strict=True))
        return (round(abs(net), 6), -sum(charges))

    best = min(itertools.product(*choices), key=off_balance)
    return dict(zip(elements, best, strict=True))


def neutral_counts(
    orbits: Sequence[Orbit], sites: Sequence[int], oxidation: Mapping[str, float]
) -> Counts:
    """Return the neutral filling nearest to the occupancies.

    Solves min Σ |n − occupancy × sites| over whole numbers n ≥ 0 of each element of
    each orbit, at most as many as there are sites, with no net charge (scipy's
    mixed-integer solver, HiGHS).

    Raises
    ------
    StructureError
        No neutral filling is within one ion, or a tenth of an orbit, of what is given.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    slots = [(k, e, s) for k, o in enumerate(orbits) for e, s in o.occupancies]
    size = len(slots)
    target = np.array([share * sites[k] for k, _, share in slots])
    capacity = np.array([sites[k] for k, _, _ in slots], float)
    whole = np.array([orbits[k].is_whole for k, _, _ in slots])
    play = np.where(whole, 0.0, np.maximum(1.0, SLACK * capacity))
    low = np.where(whole, capacity, np.maximum(0.0, np.ceil(target - play - 1e-6)))
    high = np.minimum(capacity, np.floor(target + play + 1e-6))
    eye, none = np.eye(size), np.zeros(size)
    charges = np.array([oxidation[e] for _, e, _ in slots])
    inside = [[float(k == one) for k, _, _ in slots] for one in range(len(orbits))]
    # the orbits listed first give way first where two fillings are as near
    weight = 1.0 + 1e-3 * np.arange(size)
    limits = [
        LinearConstraint(np.hstack([eye, -eye]), ub=target),  # n - d <= target
        LinearConstraint(np.hstack([-eye, -eye]), ub=-target),
        LinearConstraint(np.hstack([inside, np.zeros_like(inside)]), ub=sites),
        LinearConstraint(np.hstack([charges, none]), lb=-1e-6, ub=1e-6),
    ]
    found = milp(
        np.concatenate([none, weight]),
        constraints=limits,
        bounds=Bounds(np.concatenate([low, none]), np.concatenate([high, none + 1e9])),
        integrality=np.concatenate([none + 1, none]),
    )
    if not found.success:
        raise StructureError(_explain_charge(orbits, sites, oxidation))
    numbers = np.rint(found.x[:size]).astype(int)
    return tuple(
        tuple((slots[i][1], int(numbers[i])) for i in range(size) if slots[i][0] == k)
        for k in range(len(orbits))
    )


def _explain_charge(
    orbits: Sequence[Orbit], sites: Sequence[int], oxidation: Mapping[str, float]
) -> str:
    given: dict[str, float] = {}
    for orbit, n in zip(orbits, sites, strict=True):
        for element, share in orbit.occupancies:
            given[element] = given.get(element, 0.0) + share * n
    charge = sum(oxidation[element] * n for element, n in given.items())
    formula = " ".join(f"{e}{n:.4g}" for e, n in given.items())
    states = ", ".join(f"{e} {oxidation[e]:+g}" for e in given)
    return (
        f"no charge-neutral filling is near the given occupancies: {formula} has "
        f"{charge:+.3g} e with {states}; correct the occupancies, give other charges "
        "with `order.oxidation`, or order a larger cell with `order.cell: "
        "conventional` or `order.repeat`"
    )
