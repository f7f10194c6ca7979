"""Self-diffusion of one element in replicas of one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import chi2

from fire_core.properties.transport.msd import (
    collective_tensor,
    degrees_of_freedom,
    displacement_tensor,
    trace,
)
from fire_core.properties.transport.regression import gamma_interval
from fire_core.properties.transport.scatter import widening
from fire_core.properties.transport.window import Window, explain, find_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

UNLIKELY: Final = 0.01
"""Probability of a scatter between replicas below which errors are widened."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A diffusion coefficient with its error, or why there is none.

    Attributes
    ----------
    value
        Å²/ps; None: the run does not support one.
    error
        Standard error, Å²/ps.
    low, high
        95 % interval, Å²/ps.
    dof
        Degrees of freedom; the relative error is √(2/dof).
    note
        Why there is no value, or what widened the error.
    """

    value: float | None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    dof: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Diffusion:
    """What the displacements of one kind of ions say.

    Attributes
    ----------
    estimate
        Diffusion coefficient in three dimensions.
    tensor
        (3, 3), Å²/ps, of the coefficient; None without one.
    axis_dof
        Degrees of freedom of each diagonal element of the tensor.
    msd
        (n_frames,), Å², mean of the replicas.
    window
        The fit; None where the run is too short for any.
    widened
        By what factor correlated or jumping ions widen the variance, 1 or more.
    """

    estimate: Estimate
    tensor: Array | None
    axis_dof: float
    msd: Array
    window: Window | None
    widened: float


def measure_diffusion(
    replicas: Sequence[Array],
    interval: float,
    *,
    earliest: float,
    least_growth: float,
    collective: bool = False,
) -> Diffusion:
    """Find the diffusion coefficient from the displacements of like ions.

    The slope of the mean squared displacement by generalised least squares, with the
    covariance of a Gaussian process; that is widened by what the ions themselves show,
    see `scatter`.

    Parameters
    ----------
    replicas
        Positions of each run, (n_frames, n_ions, 3), Å, unwrapped, without drift, of
        the same shape.
    interval
        Between frames, ps.
    earliest
        No fit begins before this time difference, ps.
    least_growth
        Å² that diffusion has to add in the window; see `window`.
    collective
        Of the summed displacement of all ions, per ion: charge diffusion.
    """
    n_frames, n_ions, _ = replicas[0].shape
    compute = collective_tensor if collective else displacement_tensor
    tensors = np.array([compute(positions) for positions in replicas])
    tensor = tensors.mean(axis=0)
    first = max(1, round(earliest / interval))
    directions = degrees_of_freedom(tensor[min(first, n_frames - 1)])
    n_independent = directions * len(replicas) * (1 if collective else n_ions)
    widened = 1.0
    # the window says where ions' scatter is looked at, the scatter how wide errors are
    for _ in range(2):
        window, diffusive = find_window(
            trace(tensor), first, n_frames, n_independent / widened, least_growth
        )
        if window is None or collective:
            break
        widened = widening(replicas, window.lags, window.line, widened)
    if window is None or not diffusive:
        note = explain(window, n_frames, interval, least_growth)
        return Diffusion(
            Estimate(None, note=note), None, 0.0, trace(tensor), window, widened
        )
    again, note = _replicas_differ(trace_all(tensors), window)
    dof = window.line.dof / again
    slopes = np.einsum("l,lab->ab", window.line.weights, tensor[window.lags]) / interval
    estimate = _estimate(window.line.slope / (6.0 * interval), dof, note)
    return Diffusion(
        estimate,
        slopes / 2.0,
        dof / directions,
        trace(tensor),
        window,
        widened * again,
    )


def measure_charge_diffusion(
    replicas: Sequence[Array], interval: float, tracer: Diffusion, earliest: float
) -> Diffusion:
    """Find the charge diffusion coefficient D_σ from the ions' summed displacement.

    Where single ions diffuse; its window begins no earlier than theirs. The sum needs
    no growth of its own: it may be slower than the ions without being less diffusive.
    What jumps that are few add to the relative variance of D*, they add to that of D_σ
    as well, since fourth cumulants of independent ions add up as their squares do.

    Parameters
    ----------
    replicas, interval, earliest
        See `measure_diffusion`.
    tracer
        Diffusion of single ions in the same runs.
    """
    if tracer.window is not None:
        earliest = max(earliest, float(tracer.window.lags[0]) * interval)
    found = measure_diffusion(
        replicas, interval, earliest=earliest, least_growth=0.0, collective=True
    )
    if tracer.tensor is None:
        none = Estimate(None, note=tracer.estimate.note)
        return replace(found, estimate=none, tensor=None)
    value = found.estimate.value
    if value is None:
        return found
    added = (1.0 - 1.0 / tracer.widened) / tracer.estimate.dof
    share = 1.0 / (1.0 + added * found.estimate.dof)
    return replace(
        found,
        estimate=_estimate(value, share * found.estimate.dof, found.estimate.note),
        axis_dof=share * found.axis_dof,
        widened=found.widened / share,
    )


def trace_all(tensors: Array) -> Array:
    """Return the mean squared displacement of each replica, (replicas, n), Å²."""
    return np.asarray(np.trace(tensors, axis1=2, axis2=3))


def _estimate(value: float, dof: float, note: str) -> Estimate:
    low, high = gamma_interval(value, dof)
    return Estimate(value, value * np.sqrt(2.0 / dof), low, high, dof, note)


def _replicas_differ(msds: Array, window: Window) -> tuple[float, str]:
    """Return by what factor replicas' scatter widens the variance, and say so."""
    if len(msds) < 2:
        return 1.0, ""
    slopes = msds[:, window.lags] @ window.line.weights
    expected = len(msds) * window.line.slope_error**2
    degrees = len(msds) - 1
    ratio = float(np.sum((slopes - slopes.mean()) ** 2) / expected)
    if chi2.sf(ratio, degrees) >= UNLIKELY:
        return 1.0, ""
    factor = ratio / degrees
    return factor, (
        f"replicas differ more than their errors say, which are widened "
        f"{np.sqrt(factor):.1f}-fold"
    )
