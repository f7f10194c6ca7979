"""All replicas of one temperature: every diffusion coefficient that they support."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import PropertyError
from fire_core.properties.transport.conductivity import (
    conductivity_per_diffusion,
    haven_ratio,
    scaled,
)
from fire_core.properties.transport.msd import displacement_tensor, trace
from fire_core.properties.transport.self_diffusion import (
    Diffusion,
    Estimate,
    measure_charge_diffusion,
    measure_diffusion,
)
from fire_core.properties.transport.trajectory import remove_drift
from fire_core.properties.transport.with_kinisi import estimate_with_kinisi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.properties.transport.settings import TransportAnalysis
    from fire_core.properties.transport.trajectory import Trajectory

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """What the runs at one temperature give.

    Attributes
    ----------
    temperature
        K.
    runs
        Without drift.
    tracer, charge
        Diffusion of single ions and of their sum, Å²/ps.
    haven
        D*/D_σ.
    without_haven, conductivity
        By the Nernst-Einstein equation from D*, and from D_σ, S/cm.
    others
        (n_frames,), Å², mean squared displacement of each other element.
    """

    temperature: float
    runs: Sequence[Trajectory]
    tracer: Diffusion
    charge: Diffusion
    haven: Estimate
    without_haven: Estimate
    conductivity: Estimate
    others: Mapping[str, Array]

    @property
    def interval(self) -> float:
        """Time between frames, ps."""
        return self.runs[0].interval

    @property
    def n_frames(self) -> int:
        """Frames of each run."""
        return len(self.runs[0].positions)

    @property
    def last_lag(self) -> int:
        """Longest time difference that is fitted, frames."""
        return self.n_frames // 2


def analyse_ensemble(
    temperature: float,
    runs: Sequence[Trajectory],
    mobile: str,
    charge: float,
    settings: TransportAnalysis,
) -> Ensemble:
    """Analyse replicas of one temperature, as long as the shortest of them.

    Raises
    ------
    PropertyError
        The runs are not of the same atoms and the same time between frames.
    """
    still = [remove_drift(run, mobile, settings.reference) for run in same_length(runs)]
    first = still[0]
    positions = [run.displacements_of(mobile) for run in still]
    least = settings.site_distance**2
    earliest = settings.earliest
    tracer = measure_diffusion(
        positions, first.interval, earliest=earliest, least_growth=least
    )
    if settings.estimator == "kinisi" and tracer.window and tracer.tensor is not None:
        by_kinisi = estimate_with_kinisi(positions, first.interval, tracer.window.lags)
        tracer = replace(tracer, estimate=by_kinisi)
    together = measure_charge_diffusion(positions, first.interval, tracer, earliest)
    factor = conductivity_per_diffusion(
        positions[0].shape[1],
        float(np.mean([run.volume for run in still])),
        charge,
        temperature,
    )
    elements = sorted(set(first.symbols.tolist()) - {mobile})
    return Ensemble(
        temperature=temperature,
        runs=still,
        tracer=tracer,
        charge=together,
        haven=haven_ratio(tracer, together),
        without_haven=scaled(tracer.estimate, factor),
        conductivity=scaled(together.estimate, factor),
        others={element: _mean_msd(still, element) for element in elements},
    )


def same_length(runs: Sequence[Trajectory]) -> list[Trajectory]:
    """Return the runs cut to the shortest of them."""
    first = runs[0]
    for run in runs[1:]:
        same = np.array_equal(run.symbols, first.symbols)
        if not same or not np.isclose(run.interval, first.interval, rtol=1e-6):
            msg = (
                "expected runs of one temperature to be of the same atoms with the "
                f"same time between frames, got {len(first.symbols)} atoms every "
                f"{first.interval:g} ps and {len(run.symbols)} every "
                f"{run.interval:g} ps; analyse them one by one"
            )
            raise PropertyError(msg)
    shortest = min(len(run.positions) for run in runs)
    return [replace(run, positions=run.positions[:shortest]) for run in runs]


def _mean_msd(runs: Sequence[Trajectory], element: str) -> Array:
    msds = [trace(displacement_tensor(run.displacements_of(element))) for run in runs]
    return np.asarray(np.mean(msds, axis=0))
