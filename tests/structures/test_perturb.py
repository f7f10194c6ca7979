"""Perturbed copies have the statistics that were asked for; sanity finds the rest."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.config.steps import PerturbConfig
from fire_core.errors import StructureError
from fire_core.structures.perturb import perturb
from fire_core.structures.sanity import find_problems, min_distance_ratio


def crystal() -> Atoms:
    return bulk("LiCl", "rocksalt", a=5.15, cubic=True) * (2, 2, 2)


def test_displacements_have_the_given_width_and_move_nothing_as_a_whole() -> None:
    config = PerturbConfig(n=40, rattle=(0.05, 0.05), strain=0.0)
    atoms = crystal()
    copies = perturb(atoms, config, np.random.default_rng(0))
    moves = np.array([c.positions - atoms.positions for c in copies])
    assert moves.std() == pytest.approx(0.05, rel=0.03)
    assert np.abs(moves.mean(axis=1)).max() < 1e-12
    assert np.array_equal(atoms.positions, crystal().positions)


def test_widths_span_the_range_and_strain_stays_within_its_bound() -> None:
    config = PerturbConfig(n=60, rattle=(0.01, 0.1), strain=0.03)
    atoms = crystal()
    copies = perturb(atoms, config, np.random.default_rng(1))
    widths = []
    for copy in copies:
        strain = np.linalg.solve(atoms.cell.array, copy.cell.array) - np.eye(3)
        assert np.abs(strain).max() <= 0.03
        assert np.allclose(strain, strain.T)
        widths.append((copy.positions - atoms.positions @ (np.eye(3) + strain)).std())
    assert 0.009 < min(widths) < 0.02
    assert 0.07 < max(widths) < 0.11


def test_the_seed_decides() -> None:
    config = PerturbConfig(n=2)
    one, two, other = (
        perturb(crystal(), config, np.random.default_rng(s)) for s in (5, 5, 6)
    )
    assert np.array_equal(one[1].positions, two[1].positions)
    assert not np.array_equal(one[1].positions, other[1].positions)


def test_a_rattle_that_always_overlaps_is_an_error() -> None:
    config = PerturbConfig(n=1, rattle=(3.0, 3.0))
    with pytest.raises(
        StructureError, match=r"lower perturb.rattle \(now \[3.0, 3.0\]"
    ):
        perturb(crystal(), config, np.random.default_rng(0))


def test_each_problem_is_found_and_a_crystal_has_none() -> None:
    assert find_problems(crystal(), known_elements={"Li", "Cl"}) == []

    def kinds(atoms: Atoms, **options: object) -> list[str]:
        return [p.kind for p in find_problems(atoms, **options)]  # type: ignore[arg-type]

    assert kinds(Atoms()) == ["empty"]
    broken = crystal()
    broken.positions[3, 1] = np.inf
    assert kinds(broken) == ["not_finite"]
    flat = crystal()
    flat.cell[2] = flat.cell[1]
    assert kinds(flat) == ["no_volume"]
    close = crystal()
    close.positions[0] = close.positions[1] + [0, 0, 0.9]
    assert kinds(close) == ["overlap"]
    assert kinds(crystal(), known_elements={"Li"}) == ["unknown_element"]


def test_the_closest_pair_is_found_across_the_boundary() -> None:
    atoms = Atoms("Li2", positions=[[0.1, 2, 2], [3.9, 2, 2]], cell=[4, 4, 4], pbc=True)
    assert min_distance_ratio(atoms) == pytest.approx(0.2 / (2 * 1.28))
