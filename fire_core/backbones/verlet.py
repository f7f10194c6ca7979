"""Neighbour pairs of moving atoms, kept between calls.

In dynamics the atoms of one call are those of the last, a little moved: pairs within
the cutoff and a skin are kept until an atom may have crossed the skin (Verlet, Phys.
Rev. 159 (1967) 98), and each call picks those within the cutoff on the model's device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

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
class _Candidates:
    """Pairs within cutoff and skin, and where the atoms were when they were found."""

    index: torch.Tensor
    unit_shifts: torch.Tensor
    positions: torch.Tensor
    cells: torch.Tensor


class KeptPairs:
    """The pairs of the systems of a torch-sim state, searched for seldom.

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
        self._kept: _Candidates | None = None

    def forget(self) -> None:
        """Search at the next call, whose atoms are others."""
        self._kept = None

    def find(self, state: Any, ptr: torch.Tensor) -> Pairs:
        """Return the pairs within the cutoff, in the type of the state's positions.

        Parameters
        ----------
        state
            A torch-sim state.
        ptr
            Where the atoms of each system begin, and the last ones end,
            (n_systems + 1,).
        """
        import torch

        positions, cells = state.positions.detach(), state.row_vector_cell
        kept = self._kept
        if kept is None or not self._still_holds(kept, positions, cells, state):
            kept = self._kept = self._search(positions, cells, state, ptr)
        first, second = kept.index
        shifts = torch.einsum(
            "ei,eij->ej", kept.unit_shifts, cells[state.system_idx[first]]
        )
        vectors = positions[second] - positions[first] + shifts
        near = (vectors.square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        return Pairs(
            kept.index.index_select(1, near),
            kept.unit_shifts.index_select(0, near),
            shifts.index_select(0, near),
            vectors.index_select(0, near),
        )

    def _still_holds(
        self,
        kept: _Candidates,
        positions: torch.Tensor,
        cells: torch.Tensor,
        state: Any,
    ) -> bool:
        """Return whether no pair from beyond the skin can have come within the cutoff.

        With F = h₀⁻¹ h, the deformation of a cell since the search, and d the largest
        movement of an atom beside it, a pair that was at r₀ is now at least at
        s r₀ − 2 d, s being the smallest singular value of F.
        """
        import torch

        expected, shrunk = kept.positions, 1.0
        if not torch.equal(kept.cells, cells):
            deformation = torch.linalg.solve(kept.cells, cells)
            shrunk = float(torch.linalg.svdvals(deformation).min())
            expected = torch.einsum(
                "ai,aij->aj", expected, deformation[state.system_idx]
            )
        moved = float((positions - expected).square().sum(dim=1).max().sqrt())
        return 2 * moved < shrunk * (self.cutoff + self.skin) - self.cutoff

    def _search(
        self,
        positions: torch.Tensor,
        cells: torch.Tensor,
        state: Any,
        ptr: torch.Tensor,
    ) -> _Candidates:
        import torch
        from torch_sim.neighbors import vesin_nl_ts

        self.searches += 1
        places, boxes = positions.cpu().double(), cells.cpu().double()
        reach = torch.tensor(self.cutoff + self.skin, dtype=torch.float64)
        bounds = ptr.tolist()
        pairs, shifts = [], []
        for i, first in enumerate(bounds[:-1]):
            found, shift = vesin_nl_ts(
                positions=places[first : bounds[i + 1]],
                cell=boxes[i],
                pbc=state.pbc,
                cutoff=reach,
            )
            if self.once:
                half = _is_first_way(found, shift)
                found, shift = found[:, half], shift[half]
            pairs.append(found + first)
            shifts.append(shift)
        return _Candidates(
            torch.cat(pairs, dim=1).to(positions.device),
            torch.cat(shifts).to(device=positions.device, dtype=positions.dtype),
            positions.clone(),
            cells.clone(),
        )


def _is_first_way(pairs: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Return for each pair whether it is the one to keep of (i, j, S), (j, i, −S)."""
    x, y, z = shifts.unbind(1)
    positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return (pairs[0] < pairs[1]) | ((pairs[0] == pairs[1]) & positive)
