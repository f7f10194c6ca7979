"""Members of a committee see different parts of the same data."""

from __future__ import annotations

from collections import Counter

import pytest

from fire_core.campaign.names import member_kind, member_number
from fire_core.training.committee import choose_subset

DATA = list(range(50))


def test_each_member_has_its_own_part_and_the_same_one_again() -> None:
    parts = [choose_subset(DATA, 0.8, seed=3, member=m) for m in range(1, 5)]
    assert [len(set(part)) for part in parts] == [40] * 4
    assert len({tuple(part) for part in parts}) == 4
    assert parts[0] == choose_subset(DATA, 0.8, seed=3, member=1)
    assert all(part == sorted(part) for part in parts)


def test_over_many_members_every_label_is_seen_about_equally() -> None:
    counts = Counter(
        item for m in range(400) for item in choose_subset(DATA, 0.5, seed=1, member=m)
    )
    # binomial: mean 200, standard deviation 10; five of them is one in 10⁶
    assert min(counts.values()) > 150
    assert max(counts.values()) < 250


@pytest.mark.parametrize(("fraction", "n"), [(1.0, 50), (0.001, 1)])
def test_the_ends(fraction: float, n: int) -> None:
    assert len(choose_subset(DATA, fraction, seed=0, member=1)) == n


def test_kinds_and_numbers_of_members() -> None:
    assert member_number(member_kind(12)) == 12
    for other in ("fire", "pre_fine_tuned", "fire-2", "committee", "committee-x"):
        assert member_number(other) is None
