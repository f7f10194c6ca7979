"""What is not diffusive gives no number, and says how long it would take."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks import transport_models as models
from benchmarks.transport import CAGES
from fire_core.properties.transport.self_diffusion import (
    Diffusion,
    measure_charge_diffusion,
    measure_diffusion,
)


def measure(positions: np.ndarray) -> Diffusion:
    return measure_diffusion([positions], 0.1, earliest=1.0, least_growth=9.0)


def needed_ps(found: Diffusion) -> float:
    text = re.search(r"need (?:about|more than) ([\d.e+]+) ps", found.estimate.note)
    assert text, found.estimate.note
    return float(text[1])


@pytest.mark.parametrize("name", CAGES)
def test_caged_ions_give_no_number(name: str) -> None:
    for seed in range(20):
        positions = CAGES[name](np.random.default_rng([7, seed]))
        found = measure(positions)
        assert found.estimate.value is None
        assert "not diffusive yet" in found.estimate.note
        assert needed_ps(found) > 60
        charge = measure_charge_diffusion([positions], 0.1, found, 1.0)
        assert charge.estimate.value is None


def test_the_length_that_is_asked_for_is_enough_and_not_far_too_much() -> None:
    """D = 0.02 Å²/ps grows by 9 Å² in 75 ps, half of a run of 150 ps."""
    asked = []
    for seed in range(10):
        rng = np.random.default_rng([3, seed])
        short = models.brownian(rng, (500, 40), 0.002, 0.3)
        found = measure(short)
        assert found.estimate.value is None
        asked.append(needed_ps(found))
    assert 100 < np.median(asked) < 250
    rng = np.random.default_rng(4)
    frames = int(10 * np.median(asked) * 1.3)
    long = measure(models.brownian(rng, (frames, 40), 0.002, 0.3))
    assert long.estimate.low < 0.02 < long.estimate.high


def chain_of(beads: int) -> np.ndarray:
    """A Rouse chain: beads grow as √t until it has relaxed, then with the whole."""
    rng = np.random.default_rng(6)
    positions = np.zeros((1500, beads, 3))
    chain = np.zeros((beads, 3))
    for frame in range(1500):
        for _ in range(5):
            spring = np.diff(chain, axis=0)
            force = np.zeros_like(chain)
            force[:-1] += spring
            force[1:] -= spring
            chain = chain + 0.2 * force + rng.normal(0, 1.0, chain.shape)
        positions[frame] = chain
    return positions[300:, 10:-10]


def test_subdiffusion_is_told_from_diffusion() -> None:
    """Relaxation takes (beads/π)² / 0.2 / 5 frames: 4000 and 360 of 1200."""
    slow = measure(chain_of(200))
    assert slow.msd[600] > 100.0
    assert slow.estimate.value is None
    assert "grows as t^(" in slow.estimate.note
    fast = measure(chain_of(60))
    whole = 5 / 2 / 60 / 0.1  # Å²/ps, of the chain's centre
    assert fast.estimate.low < whole < fast.estimate.high
    assert fast.window.lags[0] >= 40  # not where beads go as √t
    assert fast.widened > 2  # neighbours go together


def test_few_frames_are_no_trajectory() -> None:
    rng = np.random.default_rng(1)
    found = measure(models.brownian(rng, (15, 40), 0.5))
    assert found.window is None
    assert found.estimate.value is None
    assert needed_ps(found) >= 2.0


def test_replicas_that_differ_widen_the_error_and_say_so() -> None:
    rng = np.random.default_rng(2)
    runs = [models.brownian(rng, (800, 40), d) for d in (0.01, 0.02)]
    found = measure_diffusion(runs, 0.1, earliest=1.0, least_growth=9.0)
    assert "replicas differ" in found.estimate.note
    assert found.estimate.error > 0.03
    alike = [models.brownian(rng, (800, 40), 0.015) for _ in range(2)]
    honest = measure_diffusion(alike, 0.1, earliest=1.0, least_growth=9.0)
    assert honest.estimate.error < 0.2 * found.estimate.error
