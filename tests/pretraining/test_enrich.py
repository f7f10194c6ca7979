"""What is made around a seed: lower energies, other temperatures, usable labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.records import Label
from pretraining import enrich
from pretraining.label import label, shares

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone


@pytest.fixture(scope="module")
def driver() -> Backbone:
    return load_backbone("fire-mini", device="cpu")


def seed(a: float, job: str = "binary-0000") -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=a)
    atoms.info = {"job": job, "family": "binary", "plan": "scan"}
    return atoms


def test_the_lowest_of_a_seeds_volumes_is_gone_on_from(driver: Backbone) -> None:
    frames, (best,) = enrich.scan_volumes([seed(4.9)], driver)
    energies = [prediction.energy for prediction in driver.predict(frames)]
    assert len(frames) == len(enrich.SCAN["scan"])
    assert driver.predict([best])[0].energy == pytest.approx(min(energies))
    assert best.info["job"] == "binary-0000"


def test_relaxing_takes_energy_and_stress_out(driver: Backbone) -> None:
    start = seed(5.4) * (2, 1, 1)
    start.rattle(0.1, seed=1)
    (relaxed,), passed = enrich.relax([start], driver)
    before, after = driver.predict([start, relaxed])
    assert after.energy < before.energy - 0.05
    assert np.abs(after.stress).max() < 0.5 * np.abs(before.stress).max()
    assert len(passed) == len(enrich.KEPT_STEPS) - 1


def test_what_is_too_near_or_too_dense_is_left_out() -> None:
    assert enrich.is_sane(seed(5.1))
    assert not enrich.is_sane(seed(1.0))
    assert not enrich.is_sane(seed(2.4))


def test_frames_around_seeds_are_repeatable_and_labelled(driver: Backbone) -> None:
    seeds = [seed(5.0), seed(5.2, "binary-0001")]
    first, second = (
        enrich.enrich(seeds, driver, np.random.default_rng(3)) for _ in range(2)
    )
    assert first == second
    labelled = label(first, driver)
    assert {frame.info["job"] for frame in labelled} == {"binary-0000", "binary-0001"}
    for frame in labelled:
        assert np.abs(frame.get_forces()).max() <= enrich.MAX_FORCE
        assert frame.get_stress().shape == (6,)
    hottest = max(np.abs(frame.get_forces()).max() for frame in labelled)
    assert hottest > 0.3  # eV/Å: rattled and heated ones are among them


def test_shares_hold_every_seed_once() -> None:
    seeds = [seed(5.0, f"binary-{number:04d}") for number in range(60)]
    names = [atoms.info["job"] for share in shares(seeds) for atoms in share]
    assert sorted(names) == [atoms.info["job"] for atoms in seeds]


def test_a_dense_cell_is_refused_where_symmetry_hides_its_forces() -> None:
    still = np.zeros((2, 3))
    small, large = (np.array([s, s, s, 0.0, 0.0, 0.0]) for s in (-0.5, -0.7))
    assert enrich.is_usable(Label(-1.0, still, small))
    assert not enrich.is_usable(Label(-1.0, still, large))
    assert not enrich.is_usable(Label(-1.0, still, np.full(6, np.nan)))
    assert not enrich.is_usable(Label(-1.0, still + 16.0, small))
    assert enrich.is_usable(Label(-1.0, still))
