"""Run many Langevin replicas in one batch, one repeatable segment at a time.

torch-sim supplies the batched models; the integrator is ours. Its Langevin step
draws noise from torch's global generator and folds positions into the cell, so a
killed segment could not be repeated, nor a lost atom be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols

from fire_core.backbones.repeatable import repeatable
from fire_core.errors import StructureError, UnknownElementError
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.guards import check_replica
from fire_core.exploration.harvest import is_saved
from fire_core.exploration.states import (
    ReplicaState,
    bytes_to_state,
    state_to_bytes,
)
from fire_core.records import Frame, FrameTag, StopReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.config.steps import DynamicsConfig

__all__ = [
    "ReplicaState",
    "SegmentResult",
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

    def torch_sim_model(self) -> Any:
        """Return a torch-sim model that gives energies (eV) and forces (eV/Å)."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """Outcome of one segment.

    Attributes
    ----------
    states
        Replicas that go on, at their last step.
    frames
        Saved configurations by replica, then step; of a stopped replica those
        up to the last check that it passed.
    stopped
        Reason of each replica that a guard ended in this segment.
    """

    states: list[ReplicaState]
    frames: list[Frame]
    stopped: Mapping[int, StopReason]


def start_states(
    atoms_list: Sequence[Atoms], config: DynamicsConfig, seed: int
) -> list[ReplicaState]:
    """Give each replica a structure, a temperature and thermal momenta.

    Replica r takes temperature r modulo their number, and moves on to the next
    structure once every temperature has had the present one. Momenta are drawn
    from the Maxwell-Boltzmann distribution and their sum is removed.

    Raises
    ------
    StructureError
        When there is no structure, or one is periodic in some directions only.
    """
    if not atoms_list:
        msg = "expected at least one starting structure, got none; check `system`"
        raise StructureError(msg)
    states = []
    for replica in range(config.replicas):
        turn, which = divmod(replica, len(config.temperatures))
        atoms = atoms_list[turn % len(atoms_list)]
        rng = np.random.default_rng([seed, replica])
        states.append(_start(atoms, replica, config.temperatures[which], rng))
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

    Parameters
    ----------
    backbone
        Model that drives the dynamics.
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
        Replicas that go on, saved frames, and replicas that were stopped.
    """
    _check_states(states, backbone.elements)
    alive = list(states)
    n_steps = min(config.segment, config.steps - alive[0].step) if alive else 0
    if n_steps <= 0:
        return SegmentResult(alive, [], {})
    noise = {
        s.replica: np.random.default_rng([seed, s.replica, 1 + segment_index])
        for s in alive
    }
    frames: list[Frame] = []
    stopped: dict[int, StopReason] = {}
    model = backbone.torch_sim_model()
    chunk = _check_interval(config.save_every)
    with repeatable(model.device):
        batch = ReplicaBatch(model, alive)
        batch.start()
        for _ in range(n_steps // chunk):
            batch.advance(chunk, config, noise)
            alive, reasons = _judge(batch, config)
            stopped |= reasons
            if not alive:
                break
            if reasons:
                batch = batch.keep(alive)
            if is_saved(alive[0].step, config):
                frames += [_state_to_frame(s, model_sha) for s in alive]
    frames.sort(key=lambda frame: (frame.tag.replica, frame.tag.step))
    return SegmentResult(alive, frames, stopped)


def _check_interval(save_every: int) -> int:
    """Find the longest interval of checks that saved steps are a multiple of."""
    longest = min(LONGEST_CHECK, save_every)
    return max(n for n in range(1, longest + 1) if save_every % n == 0)


def _judge(
    batch: ReplicaBatch, config: DynamicsConfig
) -> tuple[list[ReplicaState], dict[int, StopReason]]:
    alive: list[ReplicaState] = []
    reasons: dict[int, StopReason] = {}
    for state, forces in zip(batch.states, batch.split_forces(), strict=True):
        reason = check_replica(state, forces, config.guards)
        if reason is None:
            alive.append(state)
        else:
            reasons[state.replica] = reason
    return alive, reasons


def _start(
    atoms: Atoms, replica: int, temperature: float, rng: np.random.Generator
) -> ReplicaState:
    if atoms.pbc.any() != atoms.pbc.all():
        msg = (
            "expected a structure periodic in all directions or in none, got pbc = "
            f"{atoms.pbc.tolist()}; set atoms.pbc = True and add vacuum where it is "
            "not periodic"
        )
        raise StructureError(msg)
    masses = atoms.get_masses()
    width = np.sqrt(masses * units.kB * temperature)
    momenta = width[:, None] * rng.standard_normal((len(atoms), 3))
    momenta -= masses[:, None] * momenta.sum(axis=0) / masses.sum()
    return ReplicaState(
        replica=replica,
        temperature=temperature,
        step=0,
        energy=float("nan"),
        start_energy=float("nan"),
        numbers=atoms.numbers.astype(np.int64),
        masses=masses,
        positions=atoms.positions.copy(),
        momenta=momenta,
        cell=atoms.cell.array.copy(),
        pbc=atoms.pbc.copy(),
        start_positions=atoms.positions.copy(),
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


def _state_to_frame(state: ReplicaState, model_sha: str) -> Frame:
    atoms = Atoms(
        numbers=state.numbers,
        positions=state.positions,
        cell=state.cell,
        pbc=state.pbc,
    )
    tag = FrameTag(model_sha, state.replica, state.temperature, state.step)
    return Frame(atoms, tag, state.energy)
