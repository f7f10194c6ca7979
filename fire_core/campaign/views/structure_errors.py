"""Errors of a campaign's models on one structure of their test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.campaign.kinds import JUDGEMENT
from fire_core.campaign.names import TEST
from fire_core.campaign.views.results import read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.records import Label
    from fire_core.storage.store import Store

    Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class JudgedError:
    """A model's error on one structure.

    Attributes
    ----------
    campaign, round, model
        Which judgement.
    force_rmse
        Per Cartesian component, meV/Å.
    force_max
        Largest error of a component, meV/Å.
    energy_error
        Model less label, meV/atom.
    """

    campaign: str
    round: int
    model: str
    force_rmse: float
    force_max: float
    energy_error: float


def errors_on(
    store: Store, key: str, tests: Sequence[tuple[str, int]], theories: Sequence[str]
) -> list[JudgedError]:
    """Return every judged model's error on a structure, the smallest last.

    Parameters
    ----------
    store
        Where the judgements are.
    key
        The structure.
    tests
        (campaign, round) of the test choices that it is in.
    theories
        Theory levels that the structure is labelled with.
    """
    found = []
    for campaign, round_ in tests:
        keys: list[str] | None = None
        for row in store.evaluations.list(JUDGEMENT, campaign, round_=round_):
            if row.value.curves_blob is None:
                continue
            arrays = read_arrays(store, row.value.curves_blob)
            if "keys" in arrays:
                order = [str(k) for k in arrays["keys"]]
                sizes = [int(n) for n in arrays["n_atoms"]]
            else:  # an older judgement kept the numbers alone
                keys = keys or _test_keys(store, campaign, round_)
                order, sizes = _order(store, arrays, keys, theories)
            if key in order:
                error = _error(arrays, order.index(key), sizes)
                found.append(JudgedError(campaign, round_, row.subject, *error))
    return sorted(found, key=lambda e: (e.campaign, e.round, -e.force_rmse))


def _test_keys(store: Store, campaign: str, round_: int) -> list[str]:
    row = store.selections.get(campaign, round_, TEST)
    return [] if row is None else list(row.keys)


def _order(
    store: Store, arrays: Arrays, keys: Sequence[str], theories: Sequence[str]
) -> tuple[list[str], list[int]]:
    """Return which structures the numbers of a judgement are of, and their sizes.

    The labelled test structures in the order of their choice, where their labels are
    the reference of the judgement to the last bit; nothing where they are not.
    """
    for theory in theories:
        labels = store.labels.get(keys, theory)
        order = [key for key in keys if key in labels]
        if _is_reference([labels[key] for key in order], arrays):
            return order, [len(labels[key].forces) for key in order]
    return [], []


def _is_reference(labels: Sequence[Label], arrays: Arrays) -> bool:
    if not labels or len(labels) != len(arrays["energies_reference"]):
        return False
    forces = np.concatenate([label.forces.ravel() for label in labels])
    return np.array_equal(forces, arrays["forces_reference"])


def _error(
    arrays: Arrays, index: int, sizes: Sequence[int]
) -> tuple[float, float, float]:
    """Return force RMSE and largest error, meV/Å, and energy error, meV/atom."""
    first = 3 * sum(sizes[:index])
    part = slice(first, first + 3 * sizes[index])
    forces = 1000.0 * (arrays["forces"][part] - arrays["forces_reference"][part])
    energy = arrays["energies"][index] - arrays["energies_reference"][index]
    return (
        float(np.sqrt(np.mean(forces**2))),
        float(np.max(np.abs(forces))),
        1000.0 * float(energy),
    )
