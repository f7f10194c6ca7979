"""Frozen records that cross the borders between rooms.

Structures travel as `ase.Atoms` without a calculator; everything that is known
about one travels beside it in the records below. Units: eV, Å, K, fs, s unless
the field's name says otherwise; stress is in eV/Å³ in ASE's sign and Voigt order
(xx, yy, zz, yz, xz, xy).
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of records that JSON is read into
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray


StructureKey = NewType("StructureKey", str)
"""Content key of a structure; see `structures.content.structure_key`."""
TheoryId = NewType("TheoryId", str)
"""Fingerprint of a theory level: of all that changes a label."""
ModelHash = NewType("ModelHash", str)
"""sha256 of a model's file."""


class LabelState(StrEnum):
    """Life of a label: wanted, claimed by a worker, then done or failed."""

    WANTED = "wanted"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


class FailureKind(StrEnum):
    """Why a label could not be computed."""

    NOT_CONVERGED = "not_converged"
    UNKNOWN_ELEMENT = "unknown_element"
    BAD_GEOMETRY = "bad_geometry"
    NOT_FINITE = "not_finite"
    ABSURD_FORCES = "absurd_forces"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    MISSING_POTENTIAL = "missing_potential"
    TOO_MANY_ATTEMPTS = "too_many_attempts"


class Split(StrEnum):
    """Part of a dataset."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class StopReason(StrEnum):
    """Why a replica of an MD run was stopped or taken back."""

    TOO_CLOSE = "too_close"
    TOO_HOT = "too_hot"
    LOST_ATOM = "lost_atom"
    NOT_FINITE = "not_finite"
    ENERGY_DRIFT = "energy_drift"
    VOLUME = "volume"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a replica of an MD run broke.

    Attributes
    ----------
    replica
        Number of the replica in its run.
    step
        MD step at which it was seen.
    reason
        Which limit.
    back_to
        Step that the replica was taken back to; None: it was stopped.
    """

    replica: int
    step: int
    reason: StopReason
    back_to: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """Energy, forces and stress of one structure at one theory level.

    Attributes
    ----------
    energy
        Total energy, eV.
    forces
        (n_atoms, 3), eV/Å.
    stress
        (6,), eV/Å³, Voigt; None where the theory gave none.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStructure:
    """A structure together with its label.

    Attributes
    ----------
    key
        Content key of the structure (`structures.content.structure_key`).
    atoms
        The structure; never mutated by whoever receives it.
    label
        Energy, forces, stress.
    theory
        Fingerprint of the theory level that the label belongs to.
    """

    key: str
    atoms: Atoms
    label: Label
    theory: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A label that failed, with what a person needs to understand it."""

    kind: FailureKind
    reason: str
    log_tail: str = ""
    workdir: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecision:
    """A person's decision: how many labels (None: all; 0: rejected), who, why."""

    n: int | None
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FrameTag:
    """Where an MD frame came from.

    Attributes
    ----------
    model
        sha256 of the model that drove the dynamics.
    replica
        Number of the replica in its run.
    temperature
        Thermostat target at that step, K.
    step
        MD step of the frame in its replica.
    """

    model: str
    replica: int
    temperature: float
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One saved configuration of an MD replica, without velocities.

    Attributes
    ----------
    atoms
        Positions wrapped as the dynamics left them (not folded into the cell).
    tag
        Provenance.
    energy
        Model's potential energy, eV.
    """

    atoms: Atoms
    tag: FrameTag
    energy: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One selected candidate and why it was chosen.

    Attributes
    ----------
    index
        Position in the candidate list that was searched.
    rank
        Order of choice, 0 first.
    cluster
        Number of its cluster; -1 for selectors without clusters.
    cluster_size
        Candidates that it stands for.
    distance
        Distance to its cluster's centre (or the selector's own measure) in the
        reduced descriptor space.
    """

    index: int
    rank: int
    cluster: int
    cluster_size: int
    distance: float


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """Errors of a model on labelled structures.

    Energies are per atom in meV/atom, forces per Cartesian component in meV/Å,
    stress in meV/Å³ per Voigt component (None where no label has stress).
    """

    n_structures: int
    n_atoms: int
    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    force_max: float
    stress_mae: float | None = None
    force_rmse_by_element: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepMakeup:
    """What the optimiser steps of an epoch were made of.

    Attributes
    ----------
    n_steps
        Optimiser steps.
    target_frames, replay_frames
        Least and most frames of each kind in one step.
    target_atoms, replay_atoms
        Atoms of each kind in all steps together.
    """

    n_steps: int
    target_frames: tuple[int, int]
    replay_frames: tuple[int, int]
    target_atoms: int
    replay_atoms: int


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch of training did and reached.

    Energies in meV/atom, forces in meV/Å (per component), times in s.
    `forgetting_force_mae` is the force MAE on held-out pre-training structures
    (None when no such set was given); `n_parts` the parts that each optimiser step
    was computed in at least, more than one where the device's memory was short;
    `steps` is None in records of before version 0.3.
    """

    epoch: int
    train_loss: float
    valid: ErrorSummary
    forgetting_force_mae: float | None
    learning_rate: float
    n_target: int
    n_replay: int
    replay_digest: str
    seconds: float
    n_parts: int = 1
    steps: StepMakeup | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """How a model stood before one gate.

    Attributes
    ----------
    name
        The gate, one of `config.open_sets.GATES`.
    passed
        Whether the model may go on.
    value
        What was measured, in `unit`; None where the measurement broke off.
    limit
        The bound that `value` was held against; of a range the nearer end.
    unit
        Unit of both.
    text
        The verdict as one sentence with its numbers.
    """

    name: str
    passed: bool
    value: float | None
    limit: float
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """One number that was measured, or the reason why there is none.

    Attributes
    ----------
    name
        The field's term, such as `self_diffusion` or `youngs_modulus`.
    value
        In `unit`; None where the measurement does not support a number.
    unit
        As text; empty for a pure number.
    error
        Standard error, in `unit`; None: unknown.
    low, high
        Ends of the 95 % interval, in `unit`; None: unknown.
    conditions
        What it holds for, names with units: {"temperature_k": 600, "species": "Li"}.
    note
        Why there is no value, or what a reader has to know about it.
    """

    name: str
    value: float | None
    unit: str
    error: float | None = None
    low: float | None = None
    high: float | None = None
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """What a measurement gave.

    Attributes
    ----------
    values
        Its numbers.
    curves
        What its figures are drawn from: plain lists and numbers, JSON as it is.
    notes
        Sentences for whoever reads the numbers.
    """

    values: tuple[PropertyValue, ...]
    curves: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a structure or an imported frame."""

    kind: str
    detail: str


JsonDict = dict[str, Any]
