"""Check the replicas of a segment: continue, rewind, or stop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fire_core.errors import StructureError
from fire_core.exploration.guards import Guards
from fire_core.exploration.noise import Noise, draw_momenta, noise_of
from fire_core.records import Breach, StopReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.batch import ReplicaBatch
    from fire_core.exploration.moments import Moment, Snapshot


class Uncertainty(Protocol):
    """How much a model doubts its own forces."""

    def __call__(self, batch: ReplicaBatch) -> NDArray[np.float64]:
        """Return one number for each replica of a batch, (n_replicas,), eV/Å.

        `batch.predict(model)` runs another batched model, such as a committee's
        member, on the same configurations; `batch.owner` names the replica of each
        atom. `batch.states` are the replicas, read from the device.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What became of the replicas of a batch at a check.

    Attributes
    ----------
    failed
        Which of them, counted in the batch's order, do not go on from where they are.
    taken_back
        Those of the failed that go on from where they were last trusted, with new
        momenta and new noise.
    """

    failed: frozenset[int]
    taken_back: list[Snapshot]


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
    _passed: Moment | None = None
    _guards: tuple[ReplicaBatch, Guards] | None = None

    def trust(self, snapshots: list[Snapshot]) -> None:
        """Take replicas in; each begins the segment with its own random numbers."""
        self._trust_again(snapshots)
        for state in (snapshot.state for snapshot in snapshots):
            self.noise[state.replica] = noise_of(state, self.seed, self.segment)

    def judge(self, batch: ReplicaBatch) -> Judgement:
        """Check every replica of a batch.

        What the replicas are now is left on the device as long as none fails.
        """
        found = [
            reason or (StopReason.UNCERTAIN if doubt else None)
            for reason, doubt in zip(
                self._guards_of(batch).judge(batch), self._uncertain(batch), strict=True
            )
        ]
        if not any(found):
            if self.config.guards.on_breach == "rewind":
                self._passed = batch.moment()
            return Judgement(frozenset(), [])
        if self._passed is not None:
            self._trust_again(self._passed.read())
            self._passed = None
        taken_back = []
        for snapshot, reason in zip(batch.snapshots(), found, strict=True):
            if reason is None:
                self._trust_again([snapshot])
            elif (again := self._answer(snapshot, reason)) is not None:
                taken_back.append(again)
        failed = frozenset(i for i, reason in enumerate(found) if reason is not None)
        return Judgement(failed, taken_back)

    def _trust_again(self, snapshots: list[Snapshot]) -> None:
        self._trusted |= {s.state.replica: s for s in snapshots}

    def _guards_of(self, batch: ReplicaBatch) -> Guards:
        """Return the guards of a batch, made when it is a new one."""
        if self._guards is None or self._guards[0] is not batch:
            guards = Guards(batch, self.config.guards, self.config.steps)
            self._guards = (batch, guards)
        return self._guards[1]

    def _uncertain(self, batch: ReplicaBatch) -> NDArray[np.bool_]:
        limit, n = self.config.guards.max_uncertainty, len(batch.systems)
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
