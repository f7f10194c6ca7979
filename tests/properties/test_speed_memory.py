"""A size that will not fit into memory is not tried."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.properties.speed.memory import STATUS, MemoryTrend

MIB = 2**20
pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="this system does not tell a process's peak memory"
)


def use(trend: MemoryTrend, n_atoms: int, mib: int) -> None:
    """Allocate so much memory for a moment, as a force call does."""
    trend.begin()
    held = np.ones(mib * MIB // 8)
    assert held[-1] == 1.0
    del held
    trend.note(n_atoms)


@pytest.mark.parametrize(("second", "third"), [(320, 640), (640, 2560)])
def test_the_next_size_is_foreseen(second: int, third: int) -> None:
    """Twice the atoms: twice the memory, or four times."""
    trend = MemoryTrend(limit=1e12)
    use(trend, 100, 160)
    use(trend, 200, second)
    assert trend.expect(400) - trend.base == pytest.approx(third * MIB, rel=0.1)


def test_a_peak_of_before_is_forgotten() -> None:
    use(MemoryTrend(), 1, 600)
    trend = MemoryTrend()
    use(trend, 100, 200)
    assert trend.points[0][1] == pytest.approx(200 * MIB, rel=0.1)


def test_what_does_not_fit_is_said() -> None:
    trend = MemoryTrend()
    trend.limit = trend.base + 1000 * MIB
    assert trend.will_fit(10**9)  # nothing is known yet
    use(trend, 100, 200)
    assert trend.will_fit(400)
    assert not trend.will_fit(600)
