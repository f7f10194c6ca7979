"""What a campaign's model does not know: of candidates, and as labels arrive."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from fire_core.campaign.kinds import (
    CANDIDATES,
    NEW_LABELS,
    CandidateUncertainty,
    LabelUncertainty,
)
from fire_core.campaign.names import EXPLORE, SELECTED, driver_of
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.estimators import build_estimator, is_led_by_uncertainty
from fire_core.campaign.usage import count_model_usage
from fire_core.exploration.harvest import spread
from fire_core.records import Split
from fire_core.uncertainty.calibration import assess
from fire_core.uncertainty.estimate import calibrate, force_errors
from fire_core.uncertainty.trust import Trust, TrustBand, adapt_band, choose_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.campaign.names import RunPlan
    from fire_core.campaign.state import CampaignState
    from fire_core.records import LabelledStructure
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


@where_backbone_lives
def score_candidates(campaign: CampaignState, plan: RunPlan) -> int:
    """Compute and keep the uncertainty of a run's frames; return how many.

    The estimator is calibrated on labels that the driving model was not trained on,
    its validation part, anew in every round.
    """
    with campaign.holding(f"score-{plan.round}"):
        if not is_led_by_uncertainty(campaign.config, plan.round):
            return 0
        kept = campaign.store.evaluations
        known = kept.get(CANDIDATES, campaign.name, round_=plan.round)
        if known is not None:
            return known.n_scored
        with count_model_usage(campaign, plan.round, "score"):
            found = _score(campaign, plan)
        kept.save(CANDIDATES, campaign.name, found, round_=plan.round)
        campaign.observer.info(
            f"of {found.n_scored} candidates {found.trusted} are trusted (below "
            f"{1e3 * found.target:.0f} meV/Å), {found.waiting} wait, {found.candidate} "
            f"are worth a label (above {1e3 * found.low:.0f} meV/Å), {found.beyond} "
            f"beyond reach (above {1e3 * found.high:.0f} meV/Å)"
        )
        return found.n_scored


@where_backbone_lives
def assess_new_labels(campaign: CampaignState, round_: int) -> float | None:
    """Compare a round's labels with what the model before them expected.

    Returns the observed force RMSE as a multiple of the expected one; None where no
    uncertainty was computed or no label finished.
    """
    kept = campaign.store.evaluations
    with campaign.holding(f"assess-{round_}"):
        scored = kept.get(CANDIDATES, campaign.name, round_=round_)
        if scored is None:
            return None
        found = kept.get(NEW_LABELS, campaign.name, round_=round_)
        if found is None:
            items = campaign.labelled(round_, SELECTED)
            if not items:
                return None
            with count_model_usage(campaign, round_, "assess"):
                found = _assess(build_estimator(campaign, round_), scored, items)
            kept.save(NEW_LABELS, campaign.name, found, round_=round_)
        campaign.observer.info(
            f"new labels: force RMSE {1e3 * found.rmse:.0f} meV/Å where "
            f"{1e3 * found.rms_sigma:.0f} was expected; miscalibration "
            f"{found.miscalibration:.3f}, rank correlation {found.rank_correlation:.2f}"
        )
        return found.surprise


def read_scores(campaign: CampaignState, round_: int) -> Scores | None:
    """Return the candidates' uncertainties of a round; None where there are none."""
    store = campaign.store
    found = store.evaluations.get(CANDIDATES, campaign.name, round_=round_)
    if found is None:
        return None
    with np.load(io.BytesIO(store.blobs.get_bytes(found.blob))) as arrays:
        keys, worst = arrays["keys"].tolist(), arrays["worst"]
    band = TrustBand(found.target, found.low, found.high)
    return Scores(keys, worst, band.judge(worst))


@dataclass(frozen=True, slots=True, eq=False)
class UncertaintyFilter:
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
    def read(cls, campaign: CampaignState, round_: int) -> Self:
        """Read what was kept of a round."""
        config = campaign.config
        return cls(
            read_scores(campaign, round_),
            config.select.n,
            config.uncertainty.verify,
            campaign.seed("verify", round_),
        )

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


def _score(campaign: CampaignState, plan: RunPlan) -> CandidateUncertainty:
    store, settings = campaign.store, campaign.config.uncertainty
    estimator = build_estimator(campaign, plan.round)
    driver = driver_of(EXPLORE, plan.round)
    held = campaign.part(driver, Split.VALID)
    calibrated = calibrate(estimator, held)
    keys = [row.key for row in store.runs.frames(plan.run_id)]
    scored = [keys[i] for i in spread(len(keys), min(len(keys), settings.frames))]
    worst = []
    for frames in _chunks(store, scored):
        raw = estimator.estimate(frames).raw
        worst += [float(calibrated.calibration.apply(part).max()) for part in raw]
    band = adapt_band(np.array(worst), settings.trust, campaign.config.select.n)
    kinds = band.judge(np.array(worst))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keys=np.array(scored), worst=np.array(worst))
    return CandidateUncertainty(
        method=settings.method,
        driver=driver,
        n_scored=len(worst),
        n_known=len(held),
        target=band.target,
        low=band.low,
        high=band.high,
        **{kind.value: int((kinds == kind).sum()) for kind in Trust},
        calibration=calibrated.calibration,
        reliability=calibrated.reliability,
        blob=store.blobs.put_bytes(buffer.getvalue()),
    )


def _assess(
    estimator: Estimator,
    scored: CandidateUncertainty,
    items: Sequence[LabelledStructure],
) -> LabelUncertainty:
    estimate = estimator.estimate([item.atoms for item in items])
    sigma = np.concatenate([scored.calibration.apply(raw) for raw in estimate.raw])
    reliability = assess(sigma, force_errors(estimate, items))
    return LabelUncertainty(**asdict(reliability), n_structures=len(items))


def _chunks(store: Store, keys: Sequence[str]) -> Iterator[list[Atoms]]:
    for first in range(0, len(keys), CHUNK):
        yield store.structures.get(keys[first : first + CHUNK])
