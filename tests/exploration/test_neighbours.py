"""torch-sim's neighbour list sees every image, in cells smaller than the cutoff."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list


@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 1, 1), (1, 2, 3)])
def test_it_agrees_with_ase_for_small_skewed_cells_and_unfolded_atoms(repeat):
    import torch
    from torch_sim.neighbors import vesin_nl_ts

    rng = np.random.default_rng(1)
    atoms = bulk("LiCl", "rocksalt", a=5.13).repeat(repeat)
    shear = np.eye(3) + rng.normal(0, 0.05, (3, 3))
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    atoms.positions[0] += 3 * atoms.cell[0] - 2 * atoms.cell[2]
    pairs, shifts = vesin_nl_ts(
        positions=torch.as_tensor(atoms.positions),
        cell=torch.as_tensor(atoms.cell.array),
        pbc=True,
        cutoff=torch.tensor(6.0),
    )
    i, j = pairs.numpy()
    ours = np.linalg.norm(
        atoms.positions[j] - atoms.positions[i] + shifts.numpy() @ atoms.cell.array,
        axis=1,
    )
    k, m, expected = neighbor_list("ijd", atoms, 6.0)
    first, second = np.lexsort((ours, j, i)), np.lexsort((expected, m, k))
    assert np.array_equal(i[first], k[second])
    assert ours[first] == pytest.approx(expected[second], abs=1e-12)
