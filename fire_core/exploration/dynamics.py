"""Run many Langevin replicas in one batch, one repeatable segment at a time.

Noise is drawn by replica and segment from generators of its own and nothing is folded
into the cell, so that a killed segment can be repeated and a lost atom be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.backbones.repeatable import repeatable
from fire_core.config.ensemble import target_ends
from fire_core.errors import ConfigError, StructureError, UnknownElementError
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.harvest import is_saved
from fire_core.exploration.monitor import ReplicaMonitor, Uncertainty
from fire_core.exploration.noise import draw_momenta
from fire_core.exploration.parts import PartLimit
from fire_core.exploration.states import (
    ReplicaState,
    bytes_to_state,
    state_to_bytes,
)
from fire_core.records import Breach, Frame, FrameTag, StopReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.config.steps import DynamicsConfig

__all__ = [
    "DriverWithUncertainty",
    "ReplicaState",
    "SegmentResult",
    "Uncertainty",
    "bytes_to_state",
    "run_segment",
    "start_states",
    "state_to_bytes",
]

LONGEST_CHECK: Final = 10
"""Most MD steps between two looks of the guards."""


class Driver(Protocol):
    """What the dynamics needs of a backbone."""

    @property
    def elements(self) -> frozenset[str]:
        """Chemical symbols that the model knows."""

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what gives energies (eV) and forces (eV/Å) of a batch.

        With `stress` also the stress (eV/Å³), which a barostat needs.
        """


@dataclass(frozen=True, slots=True)
class DriverWithUncertainty:
    """A driver together with how much it doubts its forces."""

    driver: Driver
    uncertainty: Uncertainty

    @property
    def elements(self) -> frozenset[str]:
        """Chemical symbols that the model knows."""
        return self.driver.elements

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return the driver's model."""
        return batched_model(self.driver, stress=stress)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """Outcome of one segment.

    Attributes
    ----------
    states
        Replicas that go on, at their last step.
    frames
        Saved configurations by replica, then step; of a stopped or rewound stretch
        those up to the last check that it passed.
    breaches
        Limits that were broken, in the order they were seen.
    """

    states: list[ReplicaState]
    frames: list[Frame]
    breaches: Sequence[Breach] = ()

    @property
    def stopped(self) -> Mapping[int, StopReason]:
        """Reason of each replica that a guard ended in this segment."""
        return {b.replica: b.reason for b in self.breaches if b.back_to is None}


def start_states(
    atoms_list: Sequence[Atoms], config: DynamicsConfig, seed: int
) -> list[ReplicaState]:
    """Return for each replica a structure, a temperature and thermal momenta.

    Replica r takes temperature r modulo their number, and moves on to the next
    structure once every temperature has had the present one; structures may differ
    in size. Momenta are drawn from the Maxwell-Boltzmann distribution and their sum is
    removed.

    Raises
    ------
    StructureError
        When there is no structure, or one is periodic in some directions only, or in
        none and a barostat is asked for.
    """
    if not atoms_list:
        msg = "expected at least one starting structure, got none; check `system`"
        raise StructureError(msg)
    states = []
    for replica in range(config.replicas):
        turn, which = divmod(replica, len(config.temperatures))
        atoms = atoms_list[turn % len(atoms_list)]
        rng = np.random.default_rng([seed, replica])
        _check_periodicity(atoms, config)
        ends = target_ends(config.temperatures[which])
        states.append(_start(atoms, replica, ends, rng))
    return states


def run_segment(
    backbone: Driver,
    states: Sequence[ReplicaState],
    config: DynamicsConfig,
    *,
    segment_index: int,
    seed: int,
    model_sha: str,
) -> SegmentResult:
    """Advance replicas by `config.segment` steps, or what is left of the run.

    The result depends on (seed, segment_index, states) and the model alone: each
    replica's noise comes from its own generator, and the forces at the start are
    computed afresh. Repeated on the same CPU it gives the same bits, for which
    torch's deterministic algorithms are switched on while it runs; on a GPU it
    repeats within rounding.

    A replica that breaks a limit of the guards is stopped, or taken back to its last
    trusted configuration (`guards.on_breach`); then it takes the steps after that once
    more, so that it ends at the same step as the others.

    Parameters
    ----------
    backbone
        Model that drives the dynamics; a `DriverWithUncertainty` where
        `guards.max_uncertainty` is set.
    states
        Replicas, all at the same step.
    config
        Dynamics; guards included.
    segment_index
        Number of this segment in its run, 0 first.
    seed
        The run's seed.
    model_sha
        sha256 that tags the frames.

    Returns
    -------
    SegmentResult
        Replicas that go on, saved frames, and limits that were broken.

    Raises
    ------
    ConfigError
        `guards.max_uncertainty` is set and nothing says the uncertainty.
    OutOfMemoryError
        One replica alone does not fit into the device's memory.
    """
    _check_states(states, backbone.elements)
    uncertainty = _uncertainty(backbone, config)
    n_steps = min(config.segment, config.steps - states[0].step) if states else 0
    if n_steps <= 0:
        return SegmentResult(list(states), [])
    end = states[0].step + n_steps
    ward = ReplicaMonitor(config, seed, segment_index, uncertainty)
    frames: list[Frame] = []
    ended: list[ReplicaState] = []
    model = batched_model(backbone, stress=config.barostat is not None)
    limit = PartLimit.of(config.batch, model.device)
    chunk = _check_interval(config.save_every)
    with repeatable(model.device):
        batch = ReplicaBatch(model, states, limit)
        batch.start()
        ward.trust(batch.snapshots())
        while True:
            batch.advance(chunk, config, ward.noise)
            verdict = ward.judge(batch)
            if not verdict.failed and not _is_wanted(batch, config, end):
                continue
            placed = enumerate(batch.snapshots())
            passed = [s for i, s in placed if i not in verdict.failed]
            here = [s.state for s in passed if is_saved(s.state.step, config)]
            frames += [_state_to_frame(s, config, model_sha) for s in here]
            ended += [s.state for s in passed if s.state.step == end]
            going = [s for s in passed if s.state.step < end] + verdict.taken_back
            if not going:
                break
            if verdict.failed or len(going) < len(batch.systems):
                going.sort(key=lambda s: s.state.replica)
                batch = ReplicaBatch.of(model, going, limit)
    frames.sort(key=lambda frame: (frame.tag.replica, frame.tag.step))
    ended.sort(key=lambda state: state.replica)
    return SegmentResult(ended, frames, tuple(ward.breaches))


def batched_model(driver: Driver, *, stress: bool) -> Any:
    """Return a driver's model, with stress only where it is needed."""
    return driver.batched_model(stress=True) if stress else driver.batched_model()


def _is_wanted(batch: ReplicaBatch, config: DynamicsConfig, end: int) -> bool:
    """Return whether a replica is saved or ends where the batch is now."""
    return any(step == end or is_saved(step, config) for step in batch.steps)


def _check_interval(save_every: int) -> int:
    """Find the longest interval of checks that saved steps are a multiple of."""
    longest = min(LONGEST_CHECK, save_every)
    return max(n for n in range(1, longest + 1) if save_every % n == 0)


def _uncertainty(backbone: Driver, config: DynamicsConfig) -> Uncertainty | None:
    if isinstance(backbone, DriverWithUncertainty):
        return backbone.uncertainty
    if config.guards.max_uncertainty is not None:
        msg = (
            f"guards.max_uncertainty is {config.guards.max_uncertainty:g} eV/Å, but "
            "nothing says how uncertain the model is; leave it out, or pass the model "
            "as a DriverWithUncertainty"
        )
        raise ConfigError(msg)
    return None


def _check_periodicity(atoms: Atoms, config: DynamicsConfig) -> None:
    if atoms.pbc.any() != atoms.pbc.all():
        msg = (
            "expected a structure periodic in all directions or in none, got pbc = "
            f"{atoms.pbc.tolist()}; set atoms.pbc = True and add vacuum where it is "
            "not periodic"
        )
        raise StructureError(msg)
    if config.barostat is not None and not atoms.pbc.all():
        msg = (
            f"{atoms.get_chemical_formula()} has no periodic cell whose volume a "
            "barostat could change; leave `barostat` out"
        )
        raise StructureError(msg)


def _start(
    atoms: Atoms, replica: int, ends: tuple[float, float], rng: np.random.Generator
) -> ReplicaState:
    masses = atoms.get_masses()
    return ReplicaState(
        replica=replica,
        temperature=ends[0],
        last_temperature=ends[1],
        step=0,
        rewinds=0,
        energy=float("nan"),
        start_energy=float("nan"),
        numbers=atoms.numbers.astype(np.int64),
        masses=masses,
        positions=atoms.positions.copy(),
        momenta=draw_momenta(masses, ends[0], rng),
        cell=atoms.cell.array.copy(),
        pbc=atoms.pbc.copy(),
        start_positions=atoms.positions.copy(),
        start_cell=atoms.cell.array.copy(),
    )


def _check_states(states: Sequence[ReplicaState], known: frozenset[str]) -> None:
    steps = sorted({s.step for s in states})
    if len(steps) > 1 or len({bool(s.pbc.any()) for s in states}) > 1:
        msg = (
            "expected replicas at one step with the same periodicity, got steps "
            f"{steps}; run such replicas as separate runs"
        )
        raise StructureError(msg)
    for state in states:
        present = {chemical_symbols[z] for z in state.numbers}
        if unknown := sorted(present - known):
            msg = (
                f"replica {state.replica} holds {', '.join(unknown)}, the model knows "
                f"{', '.join(sorted(known))}; choose another backbone.name"
            )
            raise UnknownElementError(msg)


def _state_to_frame(
    state: ReplicaState, config: DynamicsConfig, model_sha: str
) -> Frame:
    atoms = Atoms(
        numbers=state.numbers,
        positions=state.positions,
        cell=state.cell,
        pbc=state.pbc,
    )
    target = state.target(config.steps)
    tag = FrameTag(model_sha, state.replica, target, state.step)
    return Frame(atoms, tag, state.energy)
