"""Which cells there are, what changes their identity, and what they learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fire_core.config.load import parse_study
from fire_core.errors import ConfigError
from fire_core.study.cells import (
    Cell,
    SharedHashes,
    count_labels,
    estimate_seconds,
    frames_seen,
    identify_cell,
    plan_cells,
)
from fire_core.study.choose import choose_frames, split_chosen
from tests.study.conftest import TINY
from tests.training.conftest import labelled, rattled

SHARED = SharedHashes("p", "t", "h", "b", "float32", {"naive": "", "fire": "r"})
FIRE = Cell("fire", 4, "kmeans", 0)
NAIVE = Cell("naive", 4, "kmeans", 0)


def study(**changes: object):
    return parse_study(TINY | changes)


def test_every_combination_is_there_once_and_the_whole_pool_once() -> None:
    config = study(selection=["kmeans", "random"], sizes=[4, 0.5, 1.0, 8])
    cells = plan_cells(config, 8)
    assert len(cells) == len(set(cells)) == 2 * 2 * (2 + 1)
    assert {c.selection for c in cells if c.labels == 8} == {"all"}
    assert [c.seed for c in cells] == sorted(c.seed for c in cells)
    assert FIRE.name == "fire-kmeans-4-seed0"


@pytest.mark.parametrize(("size", "count"), [(0.1, 2), (0.25, 6), (1.0, 24), (24, 24)])
def test_sizes_are_counts_or_fractions(size: float, count: int) -> None:
    assert count_labels(size, 24) == count


def test_a_size_that_the_pool_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="sizes: 30 is 30 of the 24 frames"):
        count_labels(30, 24)
    with pytest.raises(ConfigError, match=r"sizes: 0\.01 is 0 of the 24 frames"):
        count_labels(0.01, 24)


def test_the_identity_changes_with_all_that_a_result_depends_on() -> None:
    config = study()
    known = {identify_cell(FIRE, config, SHARED)}
    for cell in (NAIVE, replace(FIRE, labels=5), replace(FIRE, seed=1)):
        known.add(identify_cell(cell, config, SHARED))
    for field in ("pool", "test", "heldout", "backbone", "dtype"):
        known.add(identify_cell(FIRE, config, replace(SHARED, **{field: "other"})))
    other_replay = replace(SHARED, replay={"naive": "", "fire": "s"})
    known.add(identify_cell(FIRE, config, other_replay))
    for changes in (
        {"train": {"epochs": 3}},
        {"train": {"epochs": 2, "replay": {"ratio": 2.0}}},
        {"soap": {"cutoff": 4.0}},
        {"pca_components": 3},
    ):
        known.add(identify_cell(FIRE, study(**changes), SHARED))
    assert len(known) == 1 + 3 + 5 + 1 + 4


def test_the_identity_does_not_change_with_what_means_nothing_to_a_cell() -> None:
    config = study()
    train = TINY["train"] | {"replay": {"source": "replay.extxyz", "ratio": 5.0}}
    other = study(train=train, seeds=[0, 1, 2], threads=2, name="other")
    assert identify_cell(NAIVE, config, SHARED) == identify_cell(NAIVE, other, SHARED)
    assert identify_cell(FIRE, config, SHARED) != identify_cell(FIRE, other, SHARED)
    moved = study(train=TINY["train"] | {"replay": {"source": "moved.extxyz"}})
    assert identify_cell(FIRE, config, SHARED) == identify_cell(FIRE, moved, SHARED)
    at_random = replace(FIRE, selection="random")
    finer = study(soap={"cutoff": 4.0})
    assert identify_cell(at_random, config, SHARED) == identify_cell(
        at_random, finer, SHARED
    )


def test_time_is_estimated_from_the_frames_that_a_training_sees() -> None:
    config = study()
    assert frames_seen(NAIVE, config) == pytest.approx(2 * 4 * 0.9)
    assert frames_seen(FIRE, config) == pytest.approx(2 * 4 * 0.9 * (1 + 4))
    assert estimate_seconds([FIRE, NAIVE], config, {}) is None
    seconds = estimate_seconds([FIRE, NAIVE], config, {"naive": 2.0})
    assert seconds == pytest.approx((7.2 + 36.0) / 2.0)


@pytest.mark.parametrize("selection", ["kmeans", "farthest_point", "random"])
def test_a_choice_has_its_size_and_repeats(selection: str) -> None:
    space = np.random.default_rng(0).normal(size=(30, 3))
    cell = Cell("fire", 7, selection, 3)
    picked = choose_frames(cell, 30, space)
    assert len(set(picked)) == 7
    assert picked == choose_frames(replace(cell, variant="naive"), 30, space)
    assert choose_frames(replace(cell, selection="all"), 30, None) == list(range(30))


def test_two_groups_are_both_chosen_by_kmeans() -> None:
    space = np.random.default_rng(0).normal(size=(30, 2)) * 0.01
    space[25:] += 10.0  # a rare group that a random choice often misses
    for seed in range(5):
        picked = choose_frames(Cell("fire", 2, "kmeans", seed), 30, space)
        assert sum(i >= 25 for i in picked) == 1


def test_another_seed_draws_others_at_random() -> None:
    draws = {
        tuple(choose_frames(Cell("a", 5, "random", s), 40, None)) for s in range(6)
    }
    assert len(draws) == 6


def test_validation_is_part_of_the_chosen() -> None:
    chosen = labelled(rattled("LiF", 8, 5))
    train, valid = split_chosen(chosen, 0.25, 0)
    assert (len(train), len(valid)) == (6, 2)
    assert {i.key for i in train + valid} == {i.key for i in chosen}
    assert split_chosen(chosen, 0.0, 0)[1] == []
