"""What is kept of a campaign's models and rounds: one typed record for each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fire_core.campaign.policy import Decision
from fire_core.records import ErrorSummary, GateResult
from fire_core.storage.evaluation_kinds import EvaluationKind, dataclass_kind
from fire_core.uncertainty.calibration import Calibration, Reliability


@dataclass(frozen=True, slots=True)
class EnergyConservation:
    """A run at constant energy: its drift, and whether it reached its end."""

    drift_mev_per_atom_per_ps: float
    completed: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One model on the independent trajectory of a round, and beyond it.

    Attributes
    ----------
    test
        Errors on the labelled frames of the trajectory.
    forgetting
        Errors on held-out pre-training structures.
    stability
        A run at constant energy.
    curves_blob
        sha256 of the arrays behind the plots; None: not kept.
    """

    test: ErrorSummary
    forgetting: ErrorSummary
    stability: EnergyConservation
    curves_blob: str | None = None


@dataclass(frozen=True, slots=True)
class GateRecord:
    """A model's results at the gates, and a digest of what they depend on."""

    basis: str
    results: tuple[GateResult, ...]


@dataclass(frozen=True, slots=True)
class CandidateUncertainty:
    """What the exploring model did not know of a round's candidates.

    Attributes
    ----------
    method, driver
        How uncertainty was estimated; the model that made the candidates.
    n_scored, n_known
        Frames that were scored; labels that the estimate was calibrated on.
    target, low, high
        Bounds of the trust band, eV/Å.
    trusted, waiting, candidate, beyond
        How many frames the band calls so.
    calibration
        From raw to expected errors.
    reliability
        On the labels of the calibration; None where they are too few.
    blob
        sha256 of the keys and their uncertainties.
    """

    method: str
    driver: str
    n_scored: int
    n_known: int
    target: float
    low: float
    high: float
    trusted: int
    waiting: int
    candidate: int
    beyond: int
    calibration: Calibration
    reliability: Reliability | None
    blob: str

    @property
    def trusted_fraction(self) -> float:
        """Part of the scored frames that the model knows well enough."""
        return self.trusted / max(self.n_scored, 1)


@dataclass(frozen=True, slots=True)
class LabelUncertainty(Reliability):
    """How a round's new labels compare with what the model before them expected.

    Attributes
    ----------
    n_structures
        Labels compared; the others as in `Reliability`.
    """

    n_structures: int

    @property
    def surprise(self) -> float:
        """Observed force RMSE as a multiple of the expected one."""
        return self.rmse / self.rms_sigma


@dataclass(frozen=True, slots=True)
class Regression:
    """A production model on labels that are newer than it is."""

    test: ErrorSummary


@dataclass(frozen=True, slots=True)
class NeutralCopy:
    """A trained model's weights as plain tensors, which outlive its library.

    Attributes
    ----------
    model
        sha256 of the model's own file.
    blob
        sha256 of the neutral file; None: it could not be made.
    problem
        Why it could not; empty where it is there.
    """

    model: str
    blob: str | None
    problem: str = ""


JUDGEMENT: Final[EvaluationKind[Judgement]] = dataclass_kind("judgement", Judgement)
"""By round and, as subject, kind of model."""
GATE_RECORD: Final[EvaluationKind[GateRecord]] = dataclass_kind("gates", GateRecord)
"""By model."""
DECISION: Final[EvaluationKind[Decision]] = dataclass_kind("decision", Decision)
"""Why a campaign ended."""
CANDIDATES: Final[EvaluationKind[CandidateUncertainty]] = dataclass_kind(
    "candidate_uncertainty", CandidateUncertainty
)
"""By round."""
NEW_LABELS: Final[EvaluationKind[LabelUncertainty]] = dataclass_kind(
    "label_uncertainty", LabelUncertainty
)
"""By round."""
REGRESSION: Final[EvaluationKind[Regression]] = dataclass_kind("regression", Regression)
"""By model and date: `NAME/YYYY-MM-DD`."""
NEUTRAL_COPY: Final[EvaluationKind[NeutralCopy]] = dataclass_kind(
    "neutral_copy", NeutralCopy
)
"""By model."""
