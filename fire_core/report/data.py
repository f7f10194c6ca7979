"""What a campaign's report is made of: plain numbers, arrays and words."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fire_core.report.loop_data import LoopData

    Array = NDArray[np.float64]

MODEL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "zero_shot": "Zero-shot",
        "pre_fine_tuned": "Pre-fine-tuned",
        "vanilla": "Vanilla fine-tuning",
        "fire": "FIRE",
    }
)
"""Keys of models, in the order that tables and figures keep, and their titles."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Errors of one model; the names are the keys of `results.json`.

    Attributes
    ----------
    energy_rmse_mev_per_atom
        On the independent trajectory, meV/atom.
    force_rmse_mev_per_angstrom
        On the independent trajectory, per component, meV/Å.
    forgetting_force_mae_mev_per_angstrom
        On held-out pre-training structures, per component, meV/Å.
    energy_mae_mev_per_atom, force_mae_mev_per_angstrom
        As above; None when not measured.
    forgetting_energy_mae_mev_per_atom
        On held-out pre-training structures; None when not measured.
    forgetting_stress_mae_mev_per_cubic_angstrom
        On those of them that have a stress, meV/Å³; None where none has.
    """

    energy_rmse_mev_per_atom: float
    force_rmse_mev_per_angstrom: float
    forgetting_force_mae_mev_per_angstrom: float
    energy_mae_mev_per_atom: float | None = None
    force_mae_mev_per_angstrom: float | None = None
    forgetting_energy_mae_mev_per_atom: float | None = None
    forgetting_stress_mae_mev_per_cubic_angstrom: float | None = None


def added_forgetting(models: Mapping[str, ModelScores]) -> dict[str, float]:
    """Return what each model adds to the zero-shot error on pre-training data, meV/Å.

    The error itself is mostly the foundation model's own; what a fine-tuning has
    forgotten is the part that it added. Empty without a zero-shot model.
    """
    if "zero_shot" not in models:
        return {}
    start = models["zero_shot"].forgetting_force_mae_mev_per_angstrom
    return {
        key: scores.forgetting_force_mae_mev_per_angstrom - start
        for key, scores in models.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class PcaPoints:
    """Candidates in the plane of the first two principal components.

    Attributes
    ----------
    scores
        (n, 2), coordinates; (n, 1) where one component holds all that is kept.
    temperatures
        (n,), thermostat target of each candidate, K.
    picked
        Indices of the selected ones.
    explained
        Fraction of the variance along each of the two components.
    coverage
        How near the candidates are to what is labelled, in words; may be empty.
    regions
        Under-sampled regions, in words, the farthest first.
    """

    scores: Array
    temperatures: Array
    picked: Sequence[int]
    explained: tuple[float, float]
    coverage: str = ""
    regions: Sequence[str] = ()

    @property
    def is_plane(self) -> bool:
        """Whether there is a second component."""
        return bool(self.scores.shape[1] > 1)


@dataclass(frozen=True, slots=True, eq=False)
class ParityData:
    """Predictions of one model beside the labels.

    Attributes
    ----------
    energy_label, energy_model
        (n,), eV/atom.
    force_label, force_model
        (m,), all components, eV/Å.
    """

    energy_label: Array
    energy_model: Array
    force_label: Array
    force_model: Array


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One training run, epoch by epoch.

    Attributes
    ----------
    epochs
        Numbers of the epochs.
    valid_force_rmse
        meV/Å.
    forgetting_force_mae
        meV/Å; None where it was not measured.
    """

    epochs: Sequence[int]
    valid_force_rmse: Sequence[float]
    forgetting_force_mae: Sequence[float | None]


@dataclass(frozen=True, slots=True, eq=False)
class StabilityCurve:
    """One NVE run.

    Attributes
    ----------
    times
        (n,), ps.
    energies
        (n,), total energy, eV/atom.
    temperatures
        (n,), K; None when not recorded.
    drift
        meV/atom/ps.
    completed
        Whether the run reached its last step.
    """

    times: Array
    energies: Array
    temperatures: Array | None
    drift: float
    completed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence of judgement; `passed` is None for a plain remark."""

    text: str
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class FailedLabel:
    """One label that failed."""

    key: str
    kind: str
    reason: str
    workdir: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where every number came from.

    Attributes
    ----------
    theory
        Description of the theory level for a person.
    theory_code
        Code that computed the labels, such as `xtb`.
    theory_fingerprint
        Fingerprint of the theory level.
    models
        sha256 of each model's file.
    neutral
        sha256 of each model's neutral weights, where there are any.
    seeds
        Seed of each random part.
    versions
        Version of each package.
    """

    theory: str
    theory_code: str
    theory_fingerprint: str
    models: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """Everything that one report shows.

    Attributes
    ----------
    name
        The campaign.
    config_yaml
        Its resolved configuration.
    models
        Scores by key of `MODEL_NAMES`; a model that was not trained is left out.
    label_counts
        Labels by state.
    failures
        Labels that failed.
    seconds
        Wall-clock seconds by step, in the order of the run.
    provenance
        Origins.
    gates
        Judgements by the evaluation, such as a stability gate.
    learning_curves, parity, stability
        By key of `MODEL_NAMES`.
    pca
        None when nothing was selected.
    system
        One sentence on what was simulated.
    n_test
        Labelled structures of the independent trajectory.
    n_heldout, heldout_source
        Pre-training structures that forgetting was judged on, and where they are from.
    loop
        The rounds, where uncertainty led them; None elsewhere.
    """

    name: str
    config_yaml: str
    models: Mapping[str, ModelScores]
    label_counts: Mapping[str, int]
    failures: Sequence[FailedLabel]
    seconds: Mapping[str, float]
    provenance: Provenance
    gates: Sequence[Verdict] = ()
    learning_curves: Mapping[str, LearningCurve] = field(default_factory=dict)
    parity: Mapping[str, ParityData] = field(default_factory=dict)
    stability: Mapping[str, StabilityCurve] = field(default_factory=dict)
    pca: PcaPoints | None = None
    system: str = ""
    n_test: int | None = None
    n_heldout: int | None = None
    heldout_source: str = ""
    loop: LoopData | None = None
