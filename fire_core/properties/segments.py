"""Molecular dynamics of a measurement, one stored part for each segment."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fire_core.backbones.base import need_dynamics
from fire_core.exploration.dynamics import (
    bytes_to_state,
    run_segment,
    start_states,
    state_to_bytes,
)
from fire_core.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.dynamics import SegmentResult
    from fire_core.properties.measurement import Measurement

    Array = NDArray[np.float64]


class SegmentedRun:
    """Replicas of a measurement that go on after their last stored segment.

    Parameters
    ----------
    measurement
        The measurement.
    name
        First word of its parts.
    backbone
        Loads the model; called when something has to be computed.
    config
        Dynamics.
    seed
        Source of momenta and noise.
    """

    def __init__(
        self,
        measurement: Measurement,
        name: str,
        backbone: Callable[[], Backbone],
        config: DynamicsConfig,
        seed: int,
    ) -> None:
        self.measurement = measurement
        self.name = name
        self.backbone = backbone
        self.config = config
        self.seed = seed

    def collect(
        self, atoms: Sequence[Atoms], sample: Callable[[SegmentResult], Array]
    ) -> Array:
        """Run what is missing; return the samples of all segments joined.

        Parameters
        ----------
        atoms
            Where the replicas start.
        sample
            What is kept of a segment: (n_samples, ...).
        """
        states = state_to_bytes(start_states(atoms, self.config, self.seed))
        samples = []
        number = -(-self.config.steps // self.config.segment)
        for index in tracked(range(number), f"Segments of {self.name}"):
            self.measurement.log(f"{self.name}: segment {index + 1} of {number}")
            part = self.measurement.part(
                f"{self.name}-{index:04d}",
                partial(self._advance, states, index, sample),
            )
            with np.load(io.BytesIO(part), allow_pickle=False) as archive:
                states = archive["states"].tobytes()
                samples.append(archive["samples"])
        return np.concatenate(samples)

    def _advance(
        self, states: bytes, index: int, sample: Callable[[SegmentResult], Array]
    ) -> bytes:
        backbone = need_dynamics(self.backbone())
        result = run_segment(
            backbone,
            bytes_to_state(states),
            self.config,
            segment_index=index,
            seed=self.seed,
            model_sha=backbone.sha256,
        )
        samples = sample(result)
        buffer = io.BytesIO()
        after = np.frombuffer(state_to_bytes(result.states), np.uint8)
        np.savez(buffer, allow_pickle=False, states=after, samples=samples)
        return buffer.getvalue()
