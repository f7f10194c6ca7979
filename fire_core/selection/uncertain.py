"""Choose among candidates that the model is unsure of, spread by K-means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError
from fire_core.selection.candidates import Selector
from fire_core.selection.kmeans import cluster

if TYPE_CHECKING:
    from fire_core.selection.candidates import Candidates, Selected


def choose_uncertain(candidates: Candidates, n: int) -> Selected:
    """Cluster into `n`, each candidate weighing as much as its uncertainty.

    Centres move to where the model is unsure (weighted K-means; as Zhdanov,
    arXiv:1901.05954, 2019, has it for batches of active learning), and the member
    nearest to each is taken. Clusters of great total uncertainty rank first; a
    candidate of no uncertainty moves no centre.

    Raises
    ------
    StructureError
        The candidates have no uncertainties, or they are negative or not finite.
    """
    sigma = candidates.uncertainty
    if sigma is None:
        msg = "expected the uncertainty of each candidate, got none"
        raise StructureError(msg)
    if not (np.isfinite(sigma).all() and (sigma >= 0).all()):
        msg = "expected uncertainties that are finite and not negative"
        raise StructureError(msg)
    largest = float(sigma.max(initial=0.0))
    weights = sigma / largest if largest > 0 else np.ones_like(sigma)
    return cluster(candidates, n, np.maximum(weights, 1e-6))


SELECTOR: Final = Selector(choose_uncertain, needs_uncertainty=True)
