"""What a study's cells gave, and what they say together."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.study.cells import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENERGY: Final = "energy_rmse_mev_per_atom"
FORCE: Final = "force_rmse_mev_per_angstrom"
FORGETTING: Final = "forgetting_after_mev_per_angstrom"
SECONDS: Final = "train_seconds"
METRICS: Final = (
    *(ENERGY, "energy_mae_mev_per_atom", FORCE, "force_mae_mev_per_angstrom"),
    *(FORGETTING, SECONDS, "selection_seconds", "frames_per_second"),
)
"""Fields of `CellResult` that are averaged over seeds."""
FEWEST_FOR_ERROR: Final = 3
"""Seeds from which a standard error is given; the range below."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The foundation model as it is, on the same frames.

    Its energies have a constant per element fitted on the pool taken out. Forgetting
    is the force MAE on held-out pre-training structures, meV/Å; None without any.
    """

    energy_rmse_mev_per_atom: float
    force_rmse_mev_per_angstrom: float
    forgetting_mev_per_angstrom: float | None
    n_heldout: int


@dataclass(frozen=True, slots=True)
class CellResult:
    """One finished training, judged on the test frames.

    Attributes
    ----------
    id, variant, labels, selection, seed
        The cell; see `cells.Cell`.
    forgetting_before_mev_per_angstrom, forgetting_after_mev_per_angstrom
        Force MAE on the study's held-out pre-training structures, of the foundation
        model and of this one; None where there are none.
    train_seconds
        All epochs, with their validation.
    selection_seconds
        Choice of the frames; SOAP and PCA of the pool, made once, count in each.
    frames_per_second
        Target and replay frames that training went through in a second.
    epochs, kept_epoch
        Epochs that were run; number, from 0, of the one whose weights were kept.
    device
        Where it was trained.
    model
        sha256 of the model's file in the store.
    """

    id: str
    variant: str
    labels: int
    selection: str
    seed: int
    n_train: int
    n_valid: int
    energy_rmse_mev_per_atom: float
    energy_mae_mev_per_atom: float
    force_rmse_mev_per_angstrom: float
    force_mae_mev_per_angstrom: float
    forgetting_before_mev_per_angstrom: float | None
    forgetting_after_mev_per_angstrom: float | None
    train_seconds: float
    selection_seconds: float
    frames_per_second: float
    epochs: int
    kept_epoch: int
    device: str
    model: str


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over seeds with its bar.

    Attributes
    ----------
    mean
        Over the seeds.
    low, high
        Ends of the bar.
    n
        Seeds.
    kind
        What the bar is: `standard error`, `min–max`, or `one seed` (no bar).
    """

    mean: float
    low: float
    high: float
    n: int
    kind: str


@dataclass(frozen=True, slots=True)
class Point:
    """One variant at one size with one selection, over its seeds.

    `spreads` holds a `Spread` for each of `METRICS` that was measured.
    """

    variant: str
    selection: str
    labels: int
    spreads: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How many labels one series needs for what another one reaches with all.

    Attributes
    ----------
    variant, selection
        The series that is asked.
    reference
        Variant whose error at its largest size is to be reached.
    metric
        Which error.
    target
        That error.
    reference_labels
        Labels with which the reference reaches it.
    labels
        Labels with which the series reaches it; None: with none of its sizes.
    at_most
        True where its smallest size is enough already, so that it may need fewer.
    """

    variant: str
    selection: str
    reference: str
    metric: str
    target: float
    reference_labels: int
    labels: float | None
    at_most: bool


def summarise(values: Sequence[float]) -> Spread:
    """Return the mean with the standard error, or with the range below three values.

    The standard error is the sample's standard deviation over √n.
    """
    mean = statistics.fmean(values)
    if len(values) >= FEWEST_FOR_ERROR:
        error = statistics.stdev(values) / math.sqrt(len(values))
        return Spread(mean, mean - error, mean + error, len(values), "standard error")
    kind = "min–max" if len(values) > 1 else "one seed"
    return Spread(mean, min(values), max(values), len(values), kind)


def aggregate(results: Iterable[CellResult]) -> list[Point]:
    """Return the cells averaged over seeds, ordered by variant, selection and size."""
    groups: dict[tuple[str, str, int], list[CellResult]] = {}
    for result in results:
        key = (result.variant, result.selection, result.labels)
        groups.setdefault(key, []).append(result)
    points = []
    for (variant, selection, labels), cells in groups.items():
        spreads = {}
        for metric in METRICS:
            values = [getattr(cell, metric) for cell in cells]
            if all(value is not None for value in values):
                spreads[metric] = summarise(values)
        points.append(Point(variant, selection, labels, spreads))
    variants = list(dict.fromkeys(point.variant for point in points))
    return sorted(
        points, key=lambda p: (variants.index(p.variant), p.selection, p.labels)
    )


def series_of(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    """Return each (variant, selection) with its points by size.

    A training on the whole pool ends the series of every selection.
    """
    series: dict[tuple[str, str], list[Point]] = {}
    for variant in dict.fromkeys(point.variant for point in points):
        own = [point for point in points if point.variant == variant]
        whole = [point for point in own if point.selection == ALL]
        for name in sorted({p.selection for p in own} - {ALL}) or [ALL]:
            chosen = [point for point in own if point.selection == name]
            members = chosen if name == ALL else [*chosen, *whole]
            series[variant, name] = sorted(members, key=lambda p: p.labels)
    return series


def labels_needed(
    curve: Sequence[tuple[int, float]], target: float
) -> tuple[float | None, bool]:
    """Return the labels with which a learning curve first reaches an error.

    Between two sizes the error is taken as a power law: a straight line in the
    logarithms of both.

    Parameters
    ----------
    curve
        (labels, error), by rising labels.
    target
        The error to reach.

    Returns
    -------
    tuple[float | None, bool]
        The labels, None where no size reaches it; and whether the smallest size
        does so already.
    """
    for number, (labels, error) in enumerate(curve):
        if error > target:
            continue
        if number == 0:
            return float(labels), True
        before, worse = curve[number - 1]
        part = math.log(worse / target) / math.log(worse / error)
        return before * (labels / before) ** part, False
    return None, False


def compare_efficiency(
    points: Sequence[Point], metrics: Sequence[str] = (ENERGY, FORCE)
) -> list[Efficiency]:
    """Return when every series reaches what each other variant does at its largest.

    A reference that was run with several selections at its largest size is taken at
    its best.
    """
    series = series_of(points)
    found = []
    for metric in metrics:
        curves = {
            key: [(p.labels, p.spreads[metric].mean) for p in members]
            for key, members in series.items()
            if all(metric in p.spreads for p in members)
        }
        ends: dict[str, tuple[int, float]] = {}
        for (variant, _), curve in curves.items():
            labels, error = curve[-1]
            known = ends.get(variant)
            if known is None or (-labels, error) < (-known[0], known[1]):
                ends[variant] = (labels, error)
        for (variant, selection), curve in curves.items():
            for reference, (full, target) in ends.items():
                if reference == variant:
                    continue
                needed, at_most = labels_needed(curve, target)
                found.append(
                    Efficiency(
                        *(variant, selection, reference, metric, target, full),
                        *(needed, at_most),
                    )
                )
    return found
