"""What a campaign's model does not know: of candidates, and as labels arrive."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from prefect import get_run_logger, task

from fire_core.campaign import EXPLORE, SELECTED, sub_seed
from fire_core.exploration.harvest import spread
from fire_core.reading.kinds import CANDIDATE_UNCERTAINTY, LABEL_UNCERTAINTY
from fire_core.records import Split
from fire_core.uncertainty.calibration import Calibration, assess
from fire_core.uncertainty.estimate import (
    calibrate,
    force_errors,
)
from fire_core.uncertainty.trust import Trust, TrustBand, adapt_band, choose_pool
from tasks.context import CampaignRef, count_model_usage, hold_step, open_campaign
from tasks.estimators import build_estimator, is_led_by_uncertainty, read_part
from tasks.label import chosen_keys, theory_fingerprint
from tasks.naming import RunPlan, driver_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.campaign import CampaignConfig
    from fire_core.records import JsonDict, LabelledStructure
    from fire_core.storage.evaluation_kinds import EvaluationKind
    from fire_core.storage.store import Store
    from fire_core.uncertainty.estimate import Estimator

CHUNK: Final = 64
"""Frames whose features or predictions are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Calibrated uncertainties of a run's frames.

    Attributes
    ----------
    keys
        Of the scored structures.
    worst
        (n,), each frame's most uncertain atom, eV/Å.
    kinds
        (n,), what the band calls them (`uncertainty.trust.Trust`).
    """

    keys: list[str]
    worst: NDArray[np.float64]
    kinds: NDArray[np.str_]


@task(name="score-candidates", task_run_name="score-candidates-{plan.round}")
def score_candidates(ref: CampaignRef, plan: RunPlan) -> int:
    """Compute and keep the uncertainty of a run's frames; return how many.

    The estimator is calibrated on labels that the driving model was not trained on,
    its validation part, anew in every round.
    """
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"score-{plan.round}", get_run_logger().info),
    ):
        if not is_led_by_uncertainty(config, plan.round):
            return 0
        if known := read_result(store, ref, CANDIDATE_UNCERTAINTY, plan.round):
            return int(known["n_scored"])
        with count_model_usage(store, config, ref, plan.round, "score"):
            result = _score(store, config, ref, plan)
        store.evaluations.save(
            CANDIDATE_UNCERTAINTY, ref.name, result, round_=plan.round
        )
        get_run_logger().info(
            "of %d candidates %d are trusted (below %.0f meV/Å), %d wait, %d are worth "
            "a label (above %.0f meV/Å), %d beyond reach (above %.0f meV/Å)",
            result["n_scored"], result["trusted"], 1e3 * result["target"],
            result["waiting"], result["candidate"], 1e3 * result["low"],
            result["beyond"], 1e3 * result["high"],
        )  # fmt: skip
        return int(result["n_scored"])


@task(name="assess-new-labels", task_run_name="assess-new-labels-{round_}")
def assess_new_labels(ref: CampaignRef, round_: int) -> float | None:
    """Compare a round's labels with what the model before them expected.

    Returns the observed force RMSE as a multiple of the expected one; None where no
    uncertainty was computed or no label finished.
    """
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"assess-{round_}", get_run_logger().info),
    ):
        result = read_result(store, ref, LABEL_UNCERTAINTY, round_)
        scored = read_result(store, ref, CANDIDATE_UNCERTAINTY, round_)
        if scored is None:
            return None
        if result is None:
            keys = chosen_keys(store, ref, round_, SELECTED)
            items = store.labels.labelled(keys, theory_fingerprint(store, config))
            if not items:
                return None
            with count_model_usage(store, config, ref, round_, "assess"):
                result = _assess(
                    build_estimator(store, config, ref, round_), scored, items
                )
            store.evaluations.save(LABEL_UNCERTAINTY, ref.name, result, round_=round_)
        ratio = float(result["rmse"] / result["rms_sigma"])
        get_run_logger().info(
            "new labels: force RMSE %.0f meV/Å where %.0f was expected; miscalibration "
            "%.3f, rank correlation %.2f",
            1e3 * result["rmse"], 1e3 * result["rms_sigma"],
            result["miscalibration"], result["rank_correlation"],
        )  # fmt: skip
        return ratio


def read_result(
    store: Store, ref: CampaignRef, kind: EvaluationKind[JsonDict], round_: int
) -> JsonDict | None:
    """Return what was kept of the uncertainties of a round."""
    return store.evaluations.get(kind, ref.name, round_=round_)


def read_scores(store: Store, ref: CampaignRef, round_: int) -> Scores | None:
    """Return the candidates' uncertainties of a round; None where there are none."""
    result = read_result(store, ref, CANDIDATE_UNCERTAINTY, round_)
    if result is None:
        return None
    with np.load(io.BytesIO(store.blobs.get_bytes(result["blob"]))) as arrays:
        keys, worst = arrays["keys"].tolist(), arrays["worst"]
    band = TrustBand(result["target"], result["low"], result["high"])
    return Scores(keys, worst, band.judge(worst))


@dataclass(frozen=True, slots=True, eq=False)
class Narrowing:
    """What the uncertainty of a round's candidates leaves to choose from.

    Attributes
    ----------
    scores
        None where uncertainty does not lead the round: everything is left.
    n, verify
        Labels of a round, and the fewest of them.
    seed
        Of the draw of trusted ones.
    """

    scores: Scores | None
    n: int
    verify: int
    seed: int

    @classmethod
    def read(
        cls, store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
    ) -> Self:
        """Read what was kept of a round."""
        scores = read_scores(store, ref, round_)
        verify, seed = config.uncertainty.verify, sub_seed(config, "verify", round_)
        return cls(scores, config.select.n, verify, seed)

    @property
    def is_led(self) -> bool:
        """Whether uncertainty leads the round."""
        return self.scores is not None

    def choose(self, sound: Sequence[str]) -> tuple[set[str], int]:
        """Return the structures that may be labelled, and how many of them are.

        `sound` are the keys of candidates that passed screening and are unlike what is
        labelled.
        """
        if self.scores is None:
            return set(sound), self.n
        usable = np.isin(self.scores.keys, list(sound))
        kinds = self.scores.kinds[usable]
        pool = choose_pool(kinds, self.n, self.verify, self.seed)
        narrowed = {str(key) for key in np.array(self.scores.keys)[usable][pool]}
        return narrowed, min(self.n, len(narrowed))

    def uncertainty(self, keys: Sequence[str]) -> NDArray[np.float64] | None:
        """Return each structure's uncertainty, eV/Å; zero where it was not scored."""
        if self.scores is None:
            return None
        known = dict(zip(self.scores.keys, self.scores.worst.tolist(), strict=True))
        return np.array([known.get(key, 0.0) for key in keys])


def _score(
    store: Store, config: CampaignConfig, ref: CampaignRef, plan: RunPlan
) -> JsonDict:
    estimator = build_estimator(store, config, ref, plan.round)
    driver = driver_of(EXPLORE, plan.round)
    held = read_part(store, config, ref, driver, Split.VALID)
    calibrated = calibrate(estimator, held)
    keys = [row.key for row in store.runs.frames(plan.run_id)]
    n = min(len(keys), config.uncertainty.frames)
    scored = [keys[i] for i in spread(len(keys), n)]
    worst = []
    for frames in _chunks(store, scored):
        raw = estimator.estimate(frames).raw
        worst += [float(calibrated.calibration.apply(part).max()) for part in raw]
    trust, least = config.uncertainty.trust, config.select.n
    band = adapt_band(np.array(worst), trust, least)
    kinds = band.judge(np.array(worst))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keys=np.array(scored), worst=np.array(worst))
    reliability = calibrated.reliability
    return {
        "method": config.uncertainty.method,
        "driver": driver,
        "n_scored": len(worst),
        "n_known": len(held),
        "target": band.target,
        "low": band.low,
        "high": band.high,
        **{kind.value: int((kinds == kind).sum()) for kind in Trust},
        "calibration": asdict(calibrated.calibration),
        "reliability": None if reliability is None else asdict(reliability),
        "blob": store.blobs.put_bytes(buffer.getvalue()),
    }


def _assess(
    estimator: Estimator, scored: JsonDict, items: Sequence[LabelledStructure]
) -> JsonDict:
    estimate = estimator.estimate([item.atoms for item in items])
    calibration = Calibration(**scored["calibration"])
    sigma = np.concatenate([calibration.apply(raw) for raw in estimate.raw])
    reliability = assess(sigma, force_errors(estimate, items))
    return asdict(reliability) | {"n_structures": len(items)}


def _chunks(store: Store, keys: Sequence[str]) -> Iterator[list[Atoms]]:
    for first in range(0, len(keys), CHUNK):
        yield store.structures.get(keys[first : first + CHUNK])
