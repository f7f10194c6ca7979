"""The neighbour search sees every image, in cells smaller than the cutoff too."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from fire_core.backbones.neighbours import Found, search
from fire_core.backbones.systems import BatchState, frames_to_state

REACH = 6.0


def skewed(repeat: tuple[int, int, int], *, pbc: object = True) -> Atoms:
    """A sheared, rattled crystal with an atom far outside of its cell."""
    rng = np.random.default_rng(1)
    atoms = bulk("LiCl", "rocksalt", a=5.13).repeat(repeat)
    shear = np.eye(3) + rng.normal(0, 0.05, (3, 3))
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    atoms.positions[0] += 3 * atoms.cell[0] - 2 * atoms.cell[2]
    atoms.pbc = pbc
    return atoms


def molecule() -> Atoms:
    atoms = Atoms("LiClLi", positions=[[0, 0, 0], [2.1, 0, 0], [9.0, 0, 1.0]])
    assert not atoms.cell.array.any()
    return atoms


def state_of(frames: list[Atoms]) -> BatchState:
    import torch

    return frames_to_state(frames, device=torch.device("cpu"), dtype=torch.float64)


def rows(found: Found, state: BatchState) -> np.ndarray:
    """Both atoms and the vector of each pair, in an order of their own."""
    first, second = found.index
    cells = state.cells[state.systems.owner[first]]
    shifts = (found.unit_shifts[:, None] @ cells)[:, 0]
    vectors = state.positions[second] - state.positions[first] + shifts
    table = np.column_stack([first.numpy(), second.numpy(), vectors.numpy()])
    return table[np.lexsort(table.round(9).T[::-1])]


def expected_rows(frames: list[Atoms]) -> np.ndarray:
    """The same by ASE, one structure after another."""
    tables, before = [], 0
    for atoms in frames:
        i, j, vectors = neighbor_list("ijD", atoms, REACH)
        tables.append(np.column_stack([i + before, j + before, vectors]))
        before += len(atoms)
    table = np.concatenate(tables)
    return table[np.lexsort(table.round(9).T[::-1])]


FRAMES = {
    "small": [skewed((1, 1, 1))],
    "sizes": [skewed((2, 1, 1)), skewed((1, 2, 3)), skewed((3, 3, 3))],
    "mixed": [skewed((1, 1, 1)), molecule(), skewed((3, 2, 1), pbc=False)],
    "slab": [skewed((2, 2, 1), pbc=(True, True, False)), skewed((1, 1, 1))],
}


@pytest.mark.parametrize("name", FRAMES)
def test_it_agrees_with_ase_for_systems_of_any_size_and_periodicity(name):
    frames = FRAMES[name]
    state = state_of(frames)
    found = rows(search(state, REACH, once=False), state)
    expected = expected_rows(frames)
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", FRAMES)
def test_pairs_wanted_once_are_half_of_all_and_their_reverse_the_rest(name):
    import torch

    state = state_of(FRAMES[name])
    half = search(state, REACH, once=True)
    both = Found(
        torch.cat([half.index, half.index.flip(0)], dim=1),
        torch.cat([half.unit_shifts, -half.unit_shifts]),
    )
    every = search(state, REACH, once=False)
    assert rows(both, state) == pytest.approx(rows(every, state), abs=1e-9)


@pytest.mark.skipif(
    importlib.util.find_spec("torch_sim") is None,
    reason="torch-sim is not installed: `pip install torch-sim-atomistic`",
)
def test_it_agrees_with_torch_sims():
    from torch_sim.neighbors import vesin_nl_ts

    atoms = skewed((1, 2, 3))
    state = state_of([atoms])
    import torch

    pairs, shifts = vesin_nl_ts(
        state.positions, state.cells[0], True, torch.tensor(REACH)
    )
    theirs = rows(Found(pairs, shifts), state)
    assert rows(search(state, REACH, once=False), state) == pytest.approx(theirs)
