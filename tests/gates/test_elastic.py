"""Moduli against the stress, and a crystal that yields is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.units import GPa

from fire_core.backbones.registry import load_backbone
from fire_core.config.gates import ElasticConfig
from fire_core.evaluation.gates.elastic import gate_elastic
from fire_core.testing.gates import Spoilt, with_energy

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.mace import MaceBackbone

LIMITS = ElasticConfig()


def test_moduli_agree_with_the_slope_of_the_stress(cell: Atoms) -> None:
    """B = -V dP/dV and C' = (C11 - C12) / 2 by an independent way, to 2 %."""
    exact = load_backbone("fire-mini", device="cpu", dtype="float64")
    bulk, shear = gate_elastic(exact, cell, LIMITS)
    assert (bulk.passed, shear.passed) == (True, True)
    stresses = []
    for strain in ([1, 1, 1], [-1, -1, -1], [1, -1, 0], [-1, 1, 0]):
        moved = cell.copy()
        scale = np.diag(1 + 0.005 * np.array(strain))
        moved.set_cell(cell.cell.array @ scale, scale_atoms=True)
        stresses.append(exact.predict([moved])[0].stress)
    up, down, wide, narrow = stresses
    modulus = (up[:3].mean() - down[:3].mean()) / (2 * 0.015) / GPa
    assert bulk.value == pytest.approx(modulus, rel=0.02)
    # σxx - σyy = 2 (C11 - C12) ε for strain (ε, -ε, 0), beside the term of the
    # pressure left in the cell, which both ways carry
    slope = ((wide[0] - wide[1]) - (narrow[0] - narrow[1])) / (8 * 0.005) / GPa
    assert slope > 0
    assert shear.value == pytest.approx(slope, rel=0.1)


def test_a_crystal_that_gains_from_any_strain_is_refused(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    flipped = Spoilt(fire_mini, with_energy(lambda _, e: -e))
    bulk, shear = gate_elastic(flipped, cell, ElasticConfig(relax_steps=0))
    assert (bulk.passed, shear.passed) == (False, False)
    assert bulk.limit == 1
    assert "outside 1 to 500" in bulk.text
    assert "the energy falls under shear xy, xz, yz" in shear.text


def test_a_crystal_that_is_too_stiff_is_refused(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    stiff = Spoilt(fire_mini, with_energy(lambda _, e: 40 * e))
    bulk, _ = gate_elastic(stiff, cell, ElasticConfig(relax_steps=0))
    assert (bulk.passed, bulk.limit) == (False, 500)


def test_one_soft_shear_is_enough_and_is_named(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    length = cell.cell[0, 0]

    def yields(atoms: Atoms, energy: float) -> float:
        angle = 2 * atoms.cell[0, 1] / length  # of the shear xy alone
        return energy - 60 * GPa * atoms.get_volume() * angle**2 / 2

    soft = Spoilt(fire_mini, with_energy(yields))
    bulk, shear = gate_elastic(soft, cell, LIMITS)
    assert (bulk.passed, shear.passed) == (True, False)
    assert shear.text.endswith("the energy falls under shear xy")


def test_the_atoms_are_relaxed_first_and_the_given_ones_left(
    fire_mini: MaceBackbone, cell: Atoms, rattled: Atoms
) -> None:
    before = rattled.positions.copy()
    bulk, _ = gate_elastic(fire_mini, rattled, LIMITS)
    perfect, _ = gate_elastic(fire_mini, cell, LIMITS)
    assert bulk.value == pytest.approx(perfect.value, rel=0.02)
    assert np.array_equal(rattled.positions, before)
    assert rattled.calc is None
