"""The spread of a committee's forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import UncertaintyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.records import Label


def force_spread(
    predictions: Sequence[Sequence[Label]],
) -> list[NDArray[np.float64]]:
    """Return how far the members' forces on each atom lie apart.

    σᵢ² = Σₘ |Fₘᵢ − F̄ᵢ|² / (3 (M − 1)): the variance of one Cartesian component, so that
    a calibrated σ compares with a force RMSE per component. The model deviation of
    DP-GEN (Zhang et al., Comput. Phys. Commun. 253 (2020) 107206) is √3 times it, less
    the correction for M.

    Parameters
    ----------
    predictions
        For each of M ≥ 2 members, one label for each frame.

    Returns
    -------
    list[NDArray[np.float64]]
        For each frame, (n_atoms,), eV/Å.

    Raises
    ------
    UncertaintyError
        Fewer than two members.
    """
    if len(predictions) < 2:
        msg = (
            f"expected at least two members to compare, got {len(predictions)}; set "
            "committee.members to 2 or more"
        )
        raise UncertaintyError(msg)
    spreads = []
    for labels in zip(*predictions, strict=True):
        forces = np.stack([label.forces for label in labels])
        spreads.append(np.sqrt(forces.var(axis=0, ddof=1).mean(axis=1)))
    return spreads
