"""GTH pseudopotentials on a mesh are those of the formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fire_core.config.environment import cp2k_data_folder
from fire_core.labelling.codes.gth import FILE, VALENCE, read_gth
from fire_core.labelling.codes.upf import couplings, local_potential, projector

needs_data = pytest.mark.skipif(
    not (Path(cp2k_data_folder()) / FILE).is_file(),
    reason="CP2K's data are not here: apt install cp2k-data",
)
R = np.exp(np.linspace(-14, 4, 6001))  # Bohr


@pytest.mark.parametrize("angular", [0, 1, 2, 3])
@pytest.mark.parametrize("i", [0, 1, 2])
def test_projectors_are_normalised(angular: int, i: int) -> None:
    square = projector(R, angular, i, 0.7) ** 2
    assert np.trapezoid(square, R) == pytest.approx(1.0, abs=1e-5)


@needs_data
@pytest.mark.parametrize("element", sorted(VALENCE))
def test_the_local_part_ends_as_the_charge_does(element: str) -> None:
    gth = read_gth(element)
    assert gth.electrons == VALENCE[element]
    far = 12 * gth.local_radius < R
    coulomb = -2.0 * gth.electrons / R[far]  # Ry
    assert local_potential(gth, R)[far] == pytest.approx(coulomb, rel=1e-12)
    matrix = couplings(gth)
    assert (matrix == matrix.T).all()
    assert len(matrix) == sum(len(channel.h) for channel in gth.channels)
