"""The neighbour search sees every image, in cells smaller than the cutoff too."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from fire_core.backbones import cell_lists
from fire_core.backbones.cell_lists import search_on_device
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


def both_ways(half: Found) -> Found:
    """Pairs that were found once, and their reverse."""
    import torch

    return Found(
        torch.cat([half.index, half.index.flip(0)], dim=1),
        torch.cat([half.unit_shifts, -half.unit_shifts]),
    )


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


@pytest.mark.parametrize("reach", [0.7, 2.9, REACH, 11.0])
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("name", FRAMES)
def test_cell_lists_of_a_device_find_what_vesin_finds(name, once, reach, monkeypatch):
    """A second implementation, for devices, run on the CPU; in one part and in many."""
    state = state_of(FRAMES[name])
    expected = rows(search(state, reach, once=False), state)
    for at_once in (cell_lists.ROWS, 300):
        monkeypatch.setattr(cell_lists, "ROWS", at_once)
        index, shifts = search_on_device(state, reach, once=once)
        found = Found(index, shifts.double())
        if once:
            found = both_ways(found)
        assert rows(found, state) == pytest.approx(expected, abs=1e-9)


def test_cell_lists_of_a_large_cell_look_into_few_pairs():
    """Of 1728 atoms each looks into the bins around its own, not at all others."""
    from tests.waits import Largest

    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((6, 6, 6))
    atoms.rattle(0.1, seed=1)
    state = state_of([atoms])
    with Largest() as largest:
        index, _ = search_on_device(state, 3.0, once=True)
    assert len(atoms) == 1728
    assert largest.elements < 3 * 0.1 * len(atoms) ** 2
    assert index.shape[1] == search(state, 3.0, once=True).index.shape[1]


@pytest.mark.parametrize("name", FRAMES)
def test_pairs_wanted_once_are_half_of_all_and_their_reverse_the_rest(name):
    state = state_of(FRAMES[name])
    half = search(state, REACH, once=True)
    every = search(state, REACH, once=False)
    assert rows(both_ways(half), state) == pytest.approx(rows(every, state), abs=1e-9)


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
