"""A MACE model's features of atoms have the symmetries of physics."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from fire_core.backbones.assets import bundled_model
from fire_core.backbones.base import mean_features
from fire_core.backbones.registry import load_backbone
from fire_core.errors import UnknownElementError


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(str(bundled_model()), device="cpu", dtype="float64")


def test_they_turn_with_nothing_and_follow_their_atoms(backbone):
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    salt.rattle(0.15, seed=1)
    turned = salt.copy()
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    turned.set_cell(salt.cell @ turn.T, scale_atoms=False)
    turned.positions = salt.positions @ turn.T
    order = np.random.default_rng(0).permutation(len(salt))
    here, there, mixed = backbone.atom_features(
        [salt, turned, salt[order]], batch_atoms=20
    )
    assert here.shape[0] == len(salt)
    assert there == pytest.approx(here, abs=1e-6 * np.abs(here).max())
    assert mixed == pytest.approx(here[order], abs=1e-6 * np.abs(here).max())
    assert np.ptp(here[salt.numbers == 3], axis=0).max() > 1e-3  # rattled apart
    mean = mean_features(backbone, [salt])[0]
    assert mean == pytest.approx(here.mean(axis=0))


def test_elements_that_it_does_not_know_are_refused(backbone):
    with pytest.raises(UnknownElementError, match="does not know Pu"):
        backbone.atom_features([bulk("PuO", "rocksalt", a=4.9)])
