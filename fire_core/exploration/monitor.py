"""Check the replicas of a segment: continue, rewind, or stop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fire_core.errors import StructureError
from fire_core.exploration.guards import check_replica
from fire_core.exploration.noise import Noise, draw_momenta, noise_of
from fire_core.records import Breach, StopReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.batch import ReplicaBatch, Snapshot


class Uncertainty(Protocol):
    """How much a model doubts its own forces."""

    def __call__(self, batch: ReplicaBatch) -> NDArray[np.float64]:
        """Return one number for each replica of a batch, (n_replicas,), eV/Å.

        `batch.predict(model)` runs another torch-sim model, such as a committee's
        member, on the same configurations; `batch.owner` names the replica of each
        atom.
        """


@dataclass(slots=True)
class ReplicaMonitor:
    """The last trusted configuration of each replica, and its random numbers.

    Parameters
    ----------
    config
        Dynamics; its guards and what happens when one is broken.
    seed
        The run's seed.
    segment
        Number of the segment.
    uncertainty
        Asked where `guards.max_uncertainty` is set.
    """

    config: DynamicsConfig
    seed: int
    segment: int
    uncertainty: Uncertainty | None
    noise: dict[int, Noise] = field(default_factory=dict)
    breaches: list[Breach] = field(default_factory=list)
    _trusted: dict[int, Snapshot] = field(default_factory=dict)

    def trust(self, snapshots: list[Snapshot]) -> None:
        """Take replicas in; each begins the segment with its own random numbers."""
        for snapshot in snapshots:
            state = snapshot.state
            self._trusted[state.replica] = snapshot
            self.noise[state.replica] = noise_of(state, self.seed, self.segment)

    def judge(self, batch: ReplicaBatch) -> tuple[list[Snapshot], list[Snapshot]]:
        """Check every replica.

        Returns
        -------
        passed
            Replicas that go on from where they are.
        taken_back
            Replicas that go on from where they were last trusted, with new momenta
            and new noise.
        """
        snapshots = batch.snapshots()
        reasons = [
            check_replica(s.state, s.forces, self.config.guards, self.config.steps)
            for s in snapshots
        ]
        doubts = self._uncertain(batch)
        passed, taken_back = [], []
        for snapshot, found, doubt in zip(snapshots, reasons, doubts, strict=True):
            reason = found or (StopReason.UNCERTAIN if doubt else None)
            if reason is None:
                passed.append(snapshot)
                self._trusted[snapshot.state.replica] = snapshot
            elif (again := self._answer(snapshot, reason)) is not None:
                taken_back.append(again)
        return passed, taken_back

    def _uncertain(self, batch: ReplicaBatch) -> NDArray[np.bool_]:
        limit, n = self.config.guards.max_uncertainty, len(batch.states)
        if limit is None or self.uncertainty is None:
            return np.zeros(n, bool)
        values = np.asarray(self.uncertainty(batch), dtype=np.float64)
        if values.shape != (n,):
            msg = (
                f"expected one uncertainty for each of {n} replicas, got an array of "
                f"shape {values.shape}; see fire_core.exploration.monitor.Uncertainty"
            )
            raise StructureError(msg)
        return ~(values <= limit)  # nan is doubt

    def _answer(self, snapshot: Snapshot, reason: StopReason) -> Snapshot | None:
        """Record a breach; return where the replica goes on, or None."""
        state, guards = snapshot.state, self.config.guards
        back = self._trusted[state.replica]
        if guards.on_breach == "stop" or state.rewinds >= guards.max_rewinds:
            self.breaches.append(Breach(state.replica, state.step, reason))
            return None
        self.breaches.append(Breach(state.replica, state.step, reason, back.state.step))
        again = replace(back.state, rewinds=state.rewinds + 1)
        noise = noise_of(again, self.seed, self.segment)
        target = again.target(self.config.steps)
        momenta = draw_momenta(again.masses, target, noise.velocities)
        self.noise[state.replica] = noise
        return replace(back, state=replace(again, momenta=momenta))
