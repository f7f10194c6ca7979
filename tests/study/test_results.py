"""Averages, bars and the labels that a series needs, against known numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fire_core.study.results import (
    ENERGY,
    FORCE,
    FORGETTING,
    CellResult,
    aggregate,
    compare_efficiency,
    labels_needed,
    series_of,
    summarise,
)

CELL = CellResult(
    id="0",
    variant="fire",
    labels=10,
    selection="kmeans",
    seed=0,
    n_train=9,
    n_valid=1,
    energy_rmse_mev_per_atom=1.0,
    energy_mae_mev_per_atom=0.8,
    force_rmse_mev_per_angstrom=50.0,
    force_mae_mev_per_angstrom=40.0,
    forgetting_before_mev_per_angstrom=30.0,
    forgetting_after_mev_per_angstrom=33.0,
    train_seconds=20.0,
    selection_seconds=0.5,
    frames_per_second=9.0,
    epochs=2,
    kept_epoch=1,
    device="cpu, 1 thread",
    model="f" * 64,
)


def law(variant: str, factor: float, exponent: float, sizes=(10, 100, 1000)):
    """Cells whose force error is `factor` × labels^-exponent, to the last digit."""
    return [
        replace(
            CELL,
            variant=variant,
            labels=n,
            force_rmse_mev_per_angstrom=factor * n**-exponent,
        )
        for n in sizes
    ]


def test_three_seeds_have_a_standard_error_and_two_a_range() -> None:
    three = summarise([1.0, 2.0, 6.0])
    assert three.mean == 3.0
    assert three.high - three.mean == pytest.approx(math.sqrt(7.0 / 3.0))
    assert (three.n, three.kind) == (3, "standard error")
    two = summarise([2.0, 6.0])
    assert (two.mean, two.low, two.high, two.kind) == (4.0, 2.0, 6.0, "min–max")
    one = summarise([5.0])
    assert (one.low, one.high, one.kind) == (5.0, 5.0, "one seed")


def test_seeds_are_averaged_and_nothing_else() -> None:
    cells = [
        replace(CELL, seed=seed, energy_rmse_mev_per_atom=value, labels=labels)
        for labels in (20, 10)
        for seed, value in enumerate((1.0, 2.0, 6.0))
    ]
    points = aggregate(cells)
    assert [(p.labels, p.spreads[ENERGY].mean) for p in points] == [(10, 3), (20, 3)]
    assert all(p.spreads[ENERGY].n == 3 for p in points)


def test_what_was_not_measured_has_no_average() -> None:
    (point,) = aggregate([replace(CELL, forgetting_after_mev_per_angstrom=None)])
    assert FORGETTING not in point.spreads
    assert FORCE in point.spreads


def test_the_whole_pool_ends_the_series_of_every_selection() -> None:
    cells = [
        replace(CELL, selection="kmeans", labels=10),
        replace(CELL, selection="random", labels=10),
        replace(CELL, selection="all", labels=40),
    ]
    series = series_of(aggregate(cells))
    assert set(series) == {("fire", "kmeans"), ("fire", "random")}
    for points in series.values():
        assert [p.labels for p in points] == [10, 40]
    alone = series_of(aggregate(cells[-1:]))
    assert list(alone) == [("fire", "all")]


def test_a_power_law_is_interpolated_exactly() -> None:
    curve = [(n, 300.0 * n**-0.5) for n in (10, 100, 1000)]
    needed, at_most = labels_needed(curve, 300.0 * 37.0**-0.5)
    assert needed == pytest.approx(37.0)
    assert not at_most
    assert labels_needed(curve, 1000.0) == (10.0, True)
    assert labels_needed(curve, 1.0) == (None, False)
    assert labels_needed(curve, curve[1][1]) == (pytest.approx(100.0), False)


def test_a_tenth_of_the_labels_is_found_as_a_tenth() -> None:
    # b is a × √10 at every size, and both fall as labels^-1/2: a needs a tenth.
    points = aggregate([*law("a", 100.0, 0.5), *law("b", 100.0 * math.sqrt(10), 0.5)])
    found = {
        (line.variant, line.reference): line
        for line in compare_efficiency(points, [FORCE])
    }
    assert set(found) == {("a", "b"), ("b", "a")}
    a = found["a", "b"]
    assert a.labels == pytest.approx(100.0)
    assert (a.reference_labels, a.at_most) == (1000, False)
    assert found["b", "a"].labels is None
