"""Speed: supercells, exponents, limits, and that a step is timed as it runs."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.properties.speed.settings import SIZES, SpeedConfig
from fire_core.properties.speed.timing import (
    Timing,
    fit_power_law,
    is_too_slow,
    repeats_for,
    time_calls,
    time_dynamics,
)


def timing(n: int, seconds: float) -> Timing:
    return Timing(n, seconds, seconds, seconds, 3)


def test_supercells_come_near_to_the_sizes_and_stay_compact() -> None:
    """LiCl's cell of 8 atoms makes all of them but 2000 within 4 %."""
    cell = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    for size in SIZES:
        repeat = repeats_for(cell, size)
        n = 8 * math.prod(repeat)
        assert n == pytest.approx(size, rel=0.05)
        assert max(repeat) <= 2 * min(repeat)
    assert repeats_for(cell, 512) == (4, 4, 4)
    assert repeats_for(cell, 1) == (1, 1, 1)


def test_long_cells_are_repeated_across() -> None:
    cell = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((4, 1, 1))
    i, j, k = repeats_for(cell, 512)
    assert (i, j, k) == (1, 4, 4)


@pytest.mark.parametrize("exponent", [0.9, 1.0, 2.7])
def test_exponent_of_a_power_law_is_found(exponent: float) -> None:
    law = fit_power_law([timing(n, 2e-3 * n**exponent) for n in SIZES])
    assert law is not None
    assert law.exponent == pytest.approx(exponent, rel=1e-9)
    assert law.time(100) == pytest.approx(2e-3 * 100**exponent, rel=1e-9)
    assert law.error == pytest.approx(0, abs=1e-9)


def test_error_of_an_exponent_covers_the_truth() -> None:
    """Times that scatter by 5 %: two thirds within one standard error."""
    pulls = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        noisy = [timing(n, 1e-3 * n * math.exp(0.05 * rng.normal())) for n in SIZES]
        law = fit_power_law(noisy)
        assert law is not None
        assert law.error is not None
        pulls.append((law.exponent - 1) / law.error)
    # Student's t with 6 degrees of freedom: 64 % within one
    assert 0.5 < np.mean(np.abs(pulls) < 1) < 0.78


def test_overhead_of_small_sizes_is_left_out() -> None:
    found = [timing(n, 0.02 + 1e-4 * n) for n in SIZES]
    everything, large = fit_power_law(found), fit_power_law(found, from_atoms=1000)
    assert everything is not None
    assert large is not None
    assert everything.exponent < 0.75
    assert 0.85 < large.exponent < 1
    assert fit_power_law(found, from_atoms=3000) is None


def test_sizes_beyond_the_limit_are_foreseen() -> None:
    found = [timing(n, 1e-6 * n**3) for n in (16, 32, 64)]
    assert not is_too_slow(found, 128, 2.2)
    assert is_too_slow(found, 128, 2.0)
    assert is_too_slow(found[:1], 32, 0.008)
    assert not is_too_slow(found[:1], 32, 0.009)
    assert not is_too_slow([], 10**6, 1.0)


def test_calls_are_timed_by_their_median_after_a_warm_up() -> None:
    waits = iter([0.2, 0.01, 0.01, 0.15, 0.01, 0.01])
    median, low, high = time_calls(
        lambda: time.sleep(next(waits)), warm_up=1, repeats=5
    )
    assert 0.01 <= low <= median <= high < 0.14


def test_a_step_of_the_model_takes_longer_for_more_atoms() -> None:
    backbone = load_backbone("fire-mini", device="cpu")
    cell = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    settings = SpeedConfig(warm_up=1, repeats=3)
    small = time_dynamics(backbone, cell.repeat(2), settings, seed=0)
    large = time_dynamics(backbone, cell.repeat((4, 3, 3)), settings, seed=0)
    both = time_dynamics(backbone, cell.repeat(2), settings, seed=0, replicas=2)
    assert (small.n_atoms, large.n_atoms, both.n_atoms) == (64, 288, 128)
    assert large.median > small.median > 0
    assert both.replicas == 2
