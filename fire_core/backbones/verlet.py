"""Neighbour pairs of moving atoms, kept between calls.

In dynamics the atoms of one call are those of the last, a little moved: pairs within
the cutoff and a skin are kept until an atom may have crossed the skin (Verlet, Phys.
Rev. 159 (1967) 98), and each call picks those within the cutoff on the model's device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fire_core.backbones.cells import (
    displacement_gradients,
    least_stretches,
    move_along,
)
from fire_core.backbones.neighbours import search, shifts_of

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.neighbours import Found
    from fire_core.backbones.systems import BatchState

SKIN: Final = 0.6
"""Å beyond the cutoff; changes the time, not the result."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of atoms within a cutoff.

    Attributes
    ----------
    index
        The two atoms of each pair, (2, n_pairs).
    unit_shifts
        Cell vectors that the second atom is shifted by, (n_pairs, 3).
    shifts
        The same in Å.
    vectors
        From the first atom to the shifted second one, (n_pairs, 3), Å.
    """

    index: torch.Tensor
    unit_shifts: torch.Tensor
    shifts: torch.Tensor
    vectors: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs that were nearer than a distance, and where the atoms were then.

    Attributes
    ----------
    pairs
        What was found.
    before
        The systems when they were searched.
    reach
        The distance, Å.
    """

    pairs: Found
    before: BatchState
    reach: float

    @classmethod
    def search(cls, state: BatchState, reach: float, *, once: bool) -> Candidates:
        """Find the pairs nearer than `reach` Å; see `neighbours.search`."""
        found = search(state, reach, once=once)
        copied = replace(
            state, positions=state.positions.clone(), cells=state.cells.clone()
        )
        return cls(found, copied, reach)

    def hold(self, state: BatchState, cutoff: float) -> torch.Tensor:
        """Return whether no other pair can have come within `cutoff` Å, a bool.

        With F = 1 + D, the deformation of a cell since the search, and d the largest
        movement of an atom beside it, a pair that was at r₀ is now at least at
        s r₀ − 2 d, s being the smallest singular value of F.
        """
        gradients = displacement_gradients(self.before.cells, state.cells)
        expected = move_along(self.before.positions, gradients, state.systems.owner)
        moved = (state.positions - expected).square().sum(dim=1).amax().sqrt()
        shrunk = least_stretches(gradients).amin()
        return 2 * moved < shrunk * self.reach - cutoff


class KeptPairs:
    """The pairs of the systems of a batch, searched for seldom.

    Parameters
    ----------
    cutoff
        Å.
    skin
        Å; 0 searches at each call.
    once
        Whether a pair is wanted once; else both ways.

    Attributes
    ----------
    searches
        How many there have been.
    """

    def __init__(
        self, cutoff: float, *, skin: float = SKIN, once: bool = False
    ) -> None:
        self.cutoff = cutoff
        self.skin = skin
        self.once = once
        self.searches = 0
        self._kept: Candidates | None = None

    def forget(self) -> None:
        """Search at the next call, whose atoms are others."""
        self._kept = None

    def find(self, state: BatchState) -> Pairs:
        """Return the pairs within the cutoff, in the type of the state's positions.

        The device is waited for once, and once more where a search is due.
        """
        state = replace(state, positions=state.positions.detach())
        kept = self._kept
        pairs = None if kept is None else self._pick(kept, state, fresh=False)
        if pairs is None:
            self.searches += 1
            reach = self.cutoff + self.skin
            kept = self._kept = Candidates.search(state, reach, once=self.once)
            pairs = self._pick(kept, state, fresh=True)
        assert pairs is not None  # noqa: S101 - fresh ones hold
        return pairs

    def _pick(
        self, kept: Candidates, state: BatchState, *, fresh: bool
    ) -> Pairs | None:
        """Return the candidates within the cutoff; None where some may be missing."""
        import torch

        index, unit_shifts = kept.pairs.index, kept.pairs.unit_shifts
        first, second = index
        shifts = shifts_of(kept.pairs, state)
        vectors = state.positions[second] - state.positions[first] + shifts
        within = vectors.square().sum(dim=1) < self.cutoff**2
        holds = kept.hold(state, self.cutoff) | fresh
        # the one look at the device: both answers at once
        n_pairs, all_there = torch.stack([within.sum(), holds.long()]).tolist()
        if not all_there:
            return None
        near = torch.nonzero_static(within, size=n_pairs)[:, 0]
        return Pairs(
            index.index_select(1, near),
            unit_shifts.index_select(0, near),
            shifts.index_select(0, near),
            vectors.index_select(0, near),
        )
