"""The alarm by Q-residual rings by chance as seldom as it says, and for a new mode."""

from __future__ import annotations

import numpy as np

from fire_core.selection.alarm import FALSE_ALARMS, FEWEST, judge_q_residuals
from fire_core.selection.reduce import fit_pca


def test_false_alarms_are_as_seldom_as_stated_for_any_distribution() -> None:
    rng = np.random.default_rng(0)
    seeds = 2000
    for draw in (rng.exponential, rng.standard_cauchy):
        rung = 0
        for _ in range(seeds):
            alarm = judge_q_residuals(np.abs(draw(size=4000)), np.abs(draw(size=40)))
            assert alarm is not None
            rung += alarm.rings
        # Binomial, five standard deviations above the stated rate.
        expected = seeds * FALSE_ALARMS
        assert rung <= expected + 5 * np.sqrt(expected)


def test_a_mode_that_nothing_learnt_has_rings_although_no_component_shows_it() -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(2, 30))
    learnt = rng.normal(size=(50, 2)) @ plane + 0.01 * rng.normal(size=(50, 30))
    candidates = rng.normal(size=(500, 2)) @ plane + 0.01 * rng.normal(size=(500, 30))
    odd = candidates.copy()
    odd[:60] += 0.2 * rng.normal(size=30)  # small beside the plane's spread
    for frames, rings in ((candidates, False), (odd, True)):
        pca = fit_pca(frames, 2, 1.0)
        alarm = judge_q_residuals(pca.q_residual(frames), pca.q_residual(learnt))
        assert alarm is not None
        assert alarm.rings is rings
    assert alarm.worst < 60
    assert 0.1 <= alarm.share <= 0.2


def test_too_few_learnt_structures_say_nothing() -> None:
    assert judge_q_residuals(np.ones(100), np.zeros(FEWEST - 1)) is None
