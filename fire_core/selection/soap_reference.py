"""SOAP by dscribe: what FIRE's own is checked against, and may be replaced by."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.steps import SoapConfig
    from fire_core.selection.groups import Grouping


def mean_soap(
    atoms: Atoms, config: SoapConfig, grouping: Grouping, *, periodic: bool
) -> NDArray[np.float64]:
    """Return the mean power spectrum of each group, (n_groups, n_features).

    dscribe gives the vectors of all atoms, which are then averaged.
    """
    soap = _make_soap(config, grouping.species, periodic)
    folded = atoms.copy()
    if periodic:
        folded.wrap()  # dscribe 2.1.2 misses neighbours of atoms outside the cell
    matrix = soap.create(folded)
    means = np.zeros((grouping.n_groups, matrix.shape[1]))
    groups = grouping.groups(atoms, grouping.kinds(atoms))
    for mean, members in zip(means, groups, strict=True):
        if len(members):
            mean[:] = matrix[members].mean(axis=0)
    return means


@lru_cache(maxsize=8)
def _make_soap(config: SoapConfig, species: tuple[int, ...], periodic: bool) -> Any:
    from dscribe.descriptors import SOAP

    return SOAP(
        species=species,
        r_cut=config.cutoff,
        n_max=config.n_max,
        l_max=config.l_max,
        sigma=config.sigma,
        periodic=periodic,
        average="off",
        dtype="float64",
    )
