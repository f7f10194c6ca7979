"""Search the pairs of atoms of many systems that are nearer than a distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry import complete_cell

from fire_core.backbones.cell_lists import search_on_device

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Pairs of atoms, and of atoms and images of atoms.

    Attributes
    ----------
    index
        The two atoms of each pair, (2, n_pairs), counted through all systems.
    unit_shifts
        Lattice vectors that the second atom is shifted by, (n_pairs, 3), whole
        numbers in the type of the positions.
    """

    index: torch.Tensor
    unit_shifts: torch.Tensor


def shifts_of(found: Found, state: BatchState) -> torch.Tensor:
    """Return how far the second atom of each pair is shifted, (n_pairs, 3), Å."""
    import torch

    cells = state.cells[state.systems.owner[found.index[0]]]
    return torch.einsum("ei,eij->ej", found.unit_shifts, cells)


def search(state: BatchState, reach: float, *, once: bool) -> Found:
    """Return every pair that is nearer than `reach` Å, images included.

    On a CPU by vesin, one system after another; on another device by cell lists, all
    systems at once.

    Parameters
    ----------
    state
        Systems; finite.
    reach
        Å.
    once
        Whether a pair is given once; else both ways.
    """
    on_cpu = state.positions.device.type == "cpu"
    find = search_by_vesin if on_cpu else search_on_device
    index, shifts = find(state, reach, once=once)
    return Found(index, shifts.to(state.positions.dtype))


def search_by_vesin(
    state: BatchState, reach: float, *, once: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same as `cell_lists.search_on_device`, on the CPU."""
    import torch
    from vesin import NeighborList

    positions = state.positions.detach().double().numpy()
    cells = state.cells.detach().double().numpy()
    searcher = NeighborList(cutoff=reach, full_list=not once)
    pairs, shifts = [np.zeros((0, 2), np.int64)], [np.zeros((0, 3), np.int32)]
    systems = state.systems
    for i, (first, end) in enumerate(systems.bounds()):
        periodic = systems.directions[i]
        cell = cells[i] if all(periodic) else np.asarray(complete_cell(cells[i]))
        found, shift = searcher.compute(positions[first:end], cell, periodic, "PS")
        pairs.append(found.astype(np.int64) + first)
        shifts.append(shift)
    index = np.ascontiguousarray(np.concatenate(pairs).T)
    return torch.from_numpy(index), torch.from_numpy(np.concatenate(shifts))
