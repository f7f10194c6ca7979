"""Whether atoms of many replicas overlap, with pairs that are searched for seldom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import covalent_radii

from fire_core.backbones.neighbours import shifts_of
from fire_core.backbones.verlet import Candidates

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState, Systems

SKIN: Final = 1.0
"""Å beyond the largest contact; changes the time, not the result."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was seen of the replicas, on their device.

    Attributes
    ----------
    too_close
        Which replicas have two atoms that overlap, (n_replicas,).
    all_seen
        Whether the pairs that were looked at are all that can matter; where not, they
        have to be searched anew.
    """

    too_close: torch.Tensor
    all_seen: torch.Tensor


class Contacts:
    """The pairs of atoms of a batch that are or may soon be too close.

    Memory and time grow with the number of atoms, and only those pairs are kept that
    are within the largest contact and a skin.

    Parameters
    ----------
    systems
        Atoms.
    factor
        Fraction of the sum of two covalent radii below which they overlap.
    """

    def __init__(self, systems: Systems, *, factor: float) -> None:
        table = systems.starts.new_tensor(covalent_radii, dtype=_double())
        present = {int(z) for z in np.unique(systems.numbers.cpu().numpy())}
        self.systems = systems
        self.reach = 2 * factor * max(float(covalent_radii[z]) for z in present)
        self._radii = factor * table[systems.numbers]
        self._kept: Candidates | None = None

    def look(self, state: BatchState) -> Look:
        """Return which replicas have atoms that overlap, without waiting for it.

        Parameters
        ----------
        state
            Of the systems; float64, finite.
        """
        if self._kept is None:
            self.search(state)
        kept = self._kept
        assert kept is not None  # noqa: S101 - just searched
        first, second = kept.pairs.index
        vectors = state.positions[second] - state.positions[first]
        vectors = vectors + shifts_of(kept.pairs, state)
        limits = (self._radii[first] + self._radii[second]).square()
        near = (vectors.square().sum(dim=1) < limits).to(limits.dtype)
        total = limits.new_zeros(len(self.systems))
        total = total.index_add_(0, self.systems.owner[first], near)
        return Look(total > 0, kept.hold(state, self.reach))

    def search(self, state: BatchState) -> None:
        """Search the pairs anew."""
        self._kept = Candidates.search(state, self.reach + SKIN, once=True)


def _double() -> torch.dtype:
    import torch

    return torch.float64
