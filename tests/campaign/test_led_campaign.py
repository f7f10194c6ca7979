"""A campaign led by uncertainty, from its first label to its report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace import load_mace
from fire_core.campaign.kinds import CANDIDATES, DECISION, NEW_LABELS
from fire_core.campaign.names import EXPLORE, SELECTED, TEST
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.estimators import guard_by_uncertainty
from fire_core.campaign.steps.exploring import plan_run
from fire_core.campaign.steps.uncertainty import read_scores
from fire_core.config.campaign import CampaignConfig
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.dynamics import DriverWithUncertainty, start_states
from fire_core.exploration.parts import PartLimit
from fire_core.records import Split
from fire_core.uncertainty.committee import force_spread
from fire_core.uncertainty.trust import Trust
from flows.campaign import campaign_flow
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.backbones.mace import MaceBackbone
    from fire_core.campaign.kinds import CandidateUncertainty, LabelUncertainty
    from fire_core.records import Label, LabelledStructure
    from fire_core.storage.store import Store

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
FEW_STEPS: dict[str, Any] = {
    "batch_frames": 8,
    "replay": {"ratio": 1.0, "weight": 1.0},
}
"""Models that stay near the foundation's, so that dynamics are not doubted at once."""
LED: dict[str, Any] = {
    "name": "led",
    "rounds": 2,
    "theory": {"kind": "lennard_jones"},
    "pre_fine_tune": {"epochs": 1} | FEW_STEPS,
    "fine_tune": {"epochs": 2, "valid_fraction": 0.3, "warm_start": True} | FEW_STEPS,
    "explore": TINY["explore"] | {"guards": {"max_uncertainty": 50.0}},
    "committee": {"members": 2, "fraction": 0.7, "parallel": 2},
    "uncertainty": {
        "method": "committee",
        "frames": 20,
        "trust": {"target": 1.0, "focus": 0.5, "high": 20000},
        "verify": 2,
        "min_gain": 0.0,
    },
    "evaluate": TINY["evaluate"] | {"vanilla": False},
}


@dataclass(frozen=True)
class Done:
    """The finished campaign."""

    folder: Path
    config: CampaignConfig
    campaign: CampaignState
    store: Store

    @property
    def candidates(self) -> CandidateUncertainty:
        found = self.store.evaluations.get(CANDIDATES, "led", round_=2)
        assert found is not None
        return found

    @property
    def new_labels(self) -> LabelUncertainty:
        found = self.store.evaluations.get(NEW_LABELS, "led", round_=2)
        assert found is not None
        return found

    def model(self, name: str) -> MaceBackbone:
        path = self.store.blobs.path(self.store.models.need("led", name).blob_sha)
        return load_mace(path, name=name, device="cpu", dtype="float32")

    def labelled(self, keys: list[str]) -> list[LabelledStructure]:
        return self.store.labels.labelled(keys, self.campaign.theory())


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: str,
) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("led")
    where = {"url": f"sqlite:///{folder}/db", "blobs": str(folder / "blobs")}
    changes = LED | {"store": where, "results": str(folder / "results")}
    config = CampaignConfig.model_validate(TINY | changes)
    campaign_flow(config)
    ref = CampaignRef(name="led", db=config.store.url, blobs=config.store.blobs)
    with CampaignState.find(ref) as campaign:
        yield Done(folder, config, campaign, campaign.store)


def errors_of(
    labels: list[Label], items: list[LabelledStructure]
) -> NDArray[np.float64]:
    pairs = zip(labels, items, strict=True)
    return np.concatenate([p.forces - i.label.forces for p, i in pairs])


def test_what_is_bought_is_worth_a_label(done: Done) -> None:
    # no committee before round 1's labels
    assert done.store.evaluations.get(CANDIDATES, "led", round_=1) is None
    scores = read_scores(done.campaign, 2)
    chosen = done.store.selections.get("led", 2, SELECTED)
    assert scores is not None
    assert chosen is not None
    assert done.candidates.n_scored == len(scores.worst) == 20
    run_id = plan_run(done.campaign, 2, EXPLORE).run_id
    frames = {row.key for row in done.store.runs.frames(run_id)}
    assert set(scores.keys) <= frames
    kinds = dict(zip(scores.keys, scores.kinds, strict=True))
    assert set(chosen.keys) <= kinds.keys()
    bought = [kinds[key] for key in chosen.keys]
    assert Trust.BEYOND not in bought
    # trusted ones only to make up for two labels of verification
    assert bought.count(Trust.TRUSTED) <= 2


def test_the_guard_doubts_as_the_scores_do(done: Done) -> None:
    scores = read_scores(done.campaign, 2)
    assert scores is not None
    backbone = done.model("fire")
    plan = plan_run(done.campaign, 2, EXPLORE)
    driver, dynamics = guard_by_uncertainty(done.campaign, plan, backbone)
    assert isinstance(driver, DriverWithUncertainty)
    assert dynamics == done.config.explore
    replicas = dynamics.model_copy(update={"replicas": 3, "temperatures": (300.0,)})
    frames = done.store.structures.get(scores.keys[:3])
    states = start_states(frames, replicas, seed=1)
    batch = ReplicaBatch(backbone.batched_model(), states, PartLimit(0, 0))
    batch.start()
    assert np.allclose(driver.uncertainty(batch), scores.worst[:3], rtol=1e-3)
    # before there is a committee, and on test trajectories, nobody doubts
    for unled in (replace(plan, round=1), replace(plan, purpose=TEST)):
        plain, unguarded = guard_by_uncertainty(done.campaign, unled, backbone)
        assert plain is backbone
        assert unguarded.guards.max_uncertainty is None


def test_the_calibration_is_that_of_unlearnt_labels(done: Done) -> None:
    models = [done.model(name) for name in ("fire", "committee-1", "committee-2")]
    parts = done.store.datasets.get("led", "fire")
    held = done.labelled([key for key, part in parts.items() if part is Split.VALID])
    predicted = [model.predict([item.atoms for item in held]) for model in models]
    errors = errors_of(predicted[0], held)
    fitted = done.candidates.calibration
    raw = np.maximum(np.concatenate(force_spread(predicted)), fitted.floor)
    ratio = (errors**2).mean(axis=1) / raw ** (2 * fitted.exponent)
    assert fitted.n_atoms == len(errors)
    assert fitted.scale == pytest.approx(np.sqrt(ratio.mean()), rel=1e-3)


def test_new_labels_are_judged_before_they_are_learnt(done: Done) -> None:
    chosen = done.store.selections.get("led", 2, SELECTED)
    assert chosen is not None
    new = done.labelled(list(chosen.keys))
    errors = errors_of(done.model("fire").predict([i.atoms for i in new]), new)
    rmse = float(np.sqrt(np.mean(errors**2)))
    assert done.new_labels.rmse == pytest.approx(rmse, rel=1e-3)
    after = errors_of(done.model("fire-2").predict([i.atoms for i in new]), new)
    assert not np.allclose(after, errors)


def test_the_report_shows_rounds_and_the_reason(done: Done) -> None:
    decision = done.store.evaluations.get(DECISION, "led")
    assert decision is not None
    folder = done.folder / "results"
    rounds = json.loads((folder / "results.json").read_text())["rounds"]
    assert decision.reason in rounds["decision"]
    assert [r["n_labels"] for r in rounds["rows"]][:2] == [6, 12]
    observed = 1e3 * done.new_labels.rmse
    assert rounds["rows"][2]["observed"] == pytest.approx(observed)
    assert rounds["forecast"]["n_labels"] == rounds["rows"][2]["n_labels"] + 6
    pictures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"reliability", "forecast"} <= pictures
