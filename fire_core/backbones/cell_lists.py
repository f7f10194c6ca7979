"""Search pairs of atoms of many systems at once on their device, by cell lists.

Each system is cut into bins at least as wide as the reach where it is large enough;
the partners of an atom are in the bins around its own, of which those beyond a
periodic face hold images (Allen and Tildesley, Computer Simulation of Liquids, 2nd
ed., section 5.3.2). Time and memory grow with the number of atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.geometry import complete_cell

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from fire_core.backbones.systems import BatchState, Systems

ROWS: Final = 2**18
"""Bins around atoms that are looked into at once; bounds the memory."""
SAFETY: Final = 1 + 1e-9
"""On the reach, against rounding of the width of bins."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Bins of all systems.

    Attributes
    ----------
    n_bins
        Along each lattice vector, (n_systems, 3).
    around
        How many bins of each direction are looked into on both sides, (n_systems, 3).
    """

    n_bins: NDArray[np.int64]
    around: NDArray[np.int64]

    def offsets(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the bins around one, (n, 3), of all systems, and how many of each."""
        tables: dict[tuple[int, ...], NDArray[np.int64]] = {}
        parts = []
        for most in map(tuple, self.around.tolist()):
            if most not in tables:
                grids = np.meshgrid(*(np.arange(-m, m + 1) for m in most))
                tables[most] = np.stack(grids, axis=-1).reshape(-1, 3)
            parts.append(tables[most])
        return np.concatenate(parts), np.array([len(part) for part in parts])


@dataclass(frozen=True, slots=True, eq=False)
class _Binned:
    """Where the atoms are among the bins.

    Attributes
    ----------
    place
        Bin of each atom along each lattice vector, (n_atoms, 3).
    folded
        Lattice vectors by which each atom is outside of its cell, (n_atoms, 3).
    order
        Atoms, bin after bin, (n_atoms,).
    counts, starts
        Atoms of each bin, and where they begin in `order`, (n_all_bins,).
    """

    place: torch.Tensor
    folded: torch.Tensor
    order: torch.Tensor
    counts: torch.Tensor
    starts: torch.Tensor


def search_on_device(
    state: BatchState, reach: float, *, once: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return every pair that is nearer than `reach` Å; see `neighbours.search`.

    Returns
    -------
    tuple
        The two atoms of each pair, (2, n_pairs), and the lattice vectors that the
        second one is shifted by, (n_pairs, 3), whole numbers.
    """
    import torch

    systems = state.systems
    boxes = np.array(
        [
            cell if all(directions) else complete_cell(cell)
            for cell, directions in zip(
                state.cells.detach().double().cpu().numpy(),
                systems.directions,
                strict=True,
            )
        ]
    )
    inverse = torch.as_tensor(np.linalg.inv(boxes), device=state.positions.device)
    positions = state.positions.detach().double()
    scaled = (positions[:, None] @ inverse[systems.owner])[:, 0]
    low, high = _extents(scaled, systems)
    lows = np.where(systems.directions, 0.0, low)
    spans = np.where(systems.directions, 1.0, high - low)
    grid = _make_grid(boxes, spans, systems, reach)
    binned = _bin(scaled, lows, spans, grid, systems)
    moved = state.cells.detach().double(), positions
    found = [
        _search_part(binned, grid, systems, moved, part, (reach, once))
        for part in _parts(grid, systems)
    ]
    return (
        torch.cat([pairs for pairs, _ in found], dim=1),
        torch.cat([shifts for _, shifts in found]),
    )


def _extents(scaled: torch.Tensor, systems: Systems) -> NDArray[np.float64]:
    """Return the least and largest coordinates of each system, (2, n_systems, 3)."""
    import torch

    index = systems.owner[:, None].expand(-1, 3)
    empty = scaled.new_zeros(len(systems), 3)
    ends = [
        empty.scatter_reduce(0, index, scaled, how, include_self=False)
        for how in ("amin", "amax")
    ]
    found: NDArray[np.float64] = torch.stack(ends).cpu().numpy()
    return found


def _make_grid(
    boxes: NDArray[np.float64],
    spans: NDArray[np.float64],
    systems: Systems,
    reach: float,
) -> _Grid:
    """Return bins as wide as the reach, and not many more of them than atoms."""
    heights = spans / np.linalg.norm(np.linalg.inv(boxes), axis=1)
    most = np.ceil(2 * np.cbrt(np.array(systems.sizes)))[:, None]
    n_bins = np.clip(np.floor(heights / (reach * SAFETY)), 1, most)
    # atoms in bins d apart are at least (d - 1) widths from each other
    width = np.maximum(heights / n_bins, 1e-12)
    around = np.ceil(reach * SAFETY / width)
    around = np.where(systems.directions, around, np.minimum(around, n_bins - 1))
    return _Grid(n_bins.astype(np.int64), around.astype(np.int64))


def _bin(
    scaled: torch.Tensor,
    lows: NDArray[np.float64],
    spans: NDArray[np.float64],
    grid: _Grid,
    systems: Systems,
) -> _Binned:
    """Return the atoms, folded into their cells, sorted by bins."""
    import torch

    owner, device = systems.owner, scaled.device
    folded = scaled.floor() * systems.periodic[owner]
    n_bins = torch.as_tensor(grid.n_bins, device=device)
    base = torch.as_tensor(lows, device=device)[owner]
    span = torch.as_tensor(np.maximum(spans, 1e-12), device=device)[owner]
    place = ((scaled - folded - base) / span * n_bins[owner]).floor().long()
    place = torch.minimum(place.clamp(min=0), n_bins[owner] - 1)
    flat = _flat(place, owner, grid, device)
    n_all = int(grid.n_bins.prod(axis=1).sum())
    counts = torch.zeros(n_all, dtype=torch.int64, device=device)
    counts = counts.index_add_(0, flat, torch.ones_like(flat))
    starts = counts.cumsum(0) - counts
    return _Binned(place, folded.long(), flat.argsort(stable=True), counts, starts)


def _flat(
    place: torch.Tensor, owner: torch.Tensor, grid: _Grid, device: torch.device
) -> torch.Tensor:
    """Return the number of a bin among all bins of all systems."""
    import torch

    n_bins = torch.as_tensor(grid.n_bins, device=device)[owner]
    before = np.cumsum([0, *grid.n_bins.prod(axis=1)[:-1]])
    first = torch.as_tensor(before, device=device)[owner]
    inside = (place[:, 0] * n_bins[:, 1] + place[:, 1]) * n_bins[:, 2] + place[:, 2]
    return first + inside


def _parts(grid: _Grid, systems: Systems) -> list[tuple[int, int]]:
    """Return ranges of atoms around which no more bins are than `ROWS`."""
    each = np.prod(2 * grid.around + 1, axis=1)
    ends = np.cumsum(np.repeat(each, systems.sizes))
    cuts = np.flatnonzero(np.diff(ends // ROWS, prepend=0))
    return [(a, b) for a, b in pairwise([0, *cuts.tolist(), len(ends)]) if b > a]


def _search_part(
    binned: _Binned,
    grid: _Grid,
    systems: Systems,
    moved: tuple[torch.Tensor, torch.Tensor],
    part: tuple[int, int],
    wanted: tuple[float, bool],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs, (2, n), and unit shifts, (n, 3), of a range of first atoms."""
    import torch

    device = binned.place.device
    offsets, per_system = grid.offsets()
    per_atom = np.repeat(per_system, systems.sizes)[slice(*part)]
    begin = np.repeat(np.cumsum(per_system) - per_system, systems.sizes)[slice(*part)]
    atoms = torch.arange(*part, device=device)
    first, nth = _spread(
        atoms, torch.as_tensor(per_atom, device=device), per_atom.sum()
    )
    rows = torch.as_tensor(begin, device=device)[first - part[0]] + nth
    owner = systems.owner[first]
    place = binned.place[first] + torch.as_tensor(offsets, device=device)[rows]
    n_bins = torch.as_tensor(grid.n_bins, device=device)[owner]
    image = place.div(n_bins, rounding_mode="floor")
    there = (systems.periodic[owner] | (image == 0)).all(dim=1)
    target = _flat(place - image * n_bins, owner, grid, device)
    target = torch.where(there, target, 0)
    counts = binned.counts[target] * there
    row, nth = _spread(torch.arange(len(target), device=device), counts, counts.sum())
    first, second = first[row], binned.order[binned.starts[target[row]] + nth]
    shifts = image[row] - binned.folded[second] + binned.folded[first]
    cells, positions = moved
    vectors = positions[second] - positions[first]
    along = (shifts.to(cells.dtype)[:, None] @ cells[systems.owner[first]])[:, 0]
    near = (vectors + along).square().sum(dim=1) < wanted[0] ** 2
    near &= _is_pair(first, second, shifts, once=wanted[1])
    kept = near.nonzero()[:, 0]
    return torch.stack([first, second]).index_select(1, kept), shifts[kept]


def _spread(
    values: torch.Tensor, counts: torch.Tensor, total: int | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each value so many times, and which time it is, (total,) both."""
    import torch

    n = int(total)
    repeated = torch.repeat_interleave(values, counts, output_size=n)
    before = torch.repeat_interleave(counts.cumsum(0) - counts, counts, output_size=n)
    return repeated, torch.arange(n, device=values.device) - before


def _is_pair(
    first: torch.Tensor, second: torch.Tensor, shifts: torch.Tensor, *, once: bool
) -> torch.Tensor:
    """Return what is no atom with itself; of (i, j, S), (j, i, −S) one if `once`."""
    x, y, z = shifts.unbind(1)
    if not once:
        return (first != second) | (x != 0) | (y != 0) | (z != 0)
    positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return (first < second) | ((first == second) & positive)
