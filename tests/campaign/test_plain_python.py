"""A campaign in plain Python, without Prefect, and the same one as a flow."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fire_core.campaign.campaign import Campaign
from fire_core.campaign.kinds import DECISION, JUDGEMENT
from fire_core.campaign.names import FIRE, PERTURB, SELECTED, TEST
from fire_core.campaign.policy import Action
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import StoreError
from fire_core.records import Split
from flows.campaign import campaign_flow
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUICK: dict[str, Any] = {
    "theory": {"kind": "lennard_jones"},
    "pre_fine_tune": {"epochs": 1},
    "fine_tune": {"epochs": 2},
    "committee": {"members": 0},
    "evaluate": TINY["evaluate"] | {"vanilla": False},
}


def configure(folder: Path) -> CampaignConfig:
    where = {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")}
    changes = QUICK | {"store": where, "results": str(folder / "results")}
    return CampaignConfig.model_validate(TINY | changes)


def scores(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "results" / "results.json").read_text())
    return {key: found[key] for key in ("models", "label_counts", "learning_curves")}


@pytest.mark.usefixtures("prefect_server")
def test_plain_python_and_the_flow_give_the_same_numbers(tmp_path: Path) -> None:
    plain, flow = tmp_path / "plain", tmp_path / "flow"
    with Campaign.open(configure(plain)) as campaign:
        assert campaign.last_judged_round() is None
        with pytest.raises(StoreError, match="no judged model yet"):
            campaign.report()
        page = campaign.run()
        assert page == f"{plain}/results/report.html"
        assert campaign.last_judged_round() == 1
        first = campaign.round(1)
        assert first.is_labelled()
        assert first.is_chosen(TEST)
        assert not campaign.round(2).is_chosen()
        assert len(first.labelled()) == TINY["select"]["n"]
        assert first.summary().labels_done == TINY["select"]["n"]
        parts = [campaign.part(FIRE, split) for split in (Split.TRAIN, Split.VALID)]
        known = [*campaign.labelled(0, PERTURB), *campaign.labelled(1, SELECTED)]
        assert {i.key for part in parts for i in part} == {i.key for i in known}
        decision = campaign.store.evaluations.get(DECISION, campaign.name)
        assert decision is not None
        assert decision.action is Action.FINISHED
        judged = {
            (row.round, row.subject)
            for row in campaign.store.evaluations.list(JUDGEMENT, campaign.name)
        }
        assert judged == {(1, k) for k in ("zero_shot", "pre_fine_tuned", "fire")}
    campaign_flow(configure(flow))
    assert scores(plain) == scores(flow)  # bit for bit: one process, one thread


def test_the_application_needs_no_prefect() -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; "
        "from fire_core import Campaign; import fire_core.campaign.study; print('ok')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "ok", done.stderr
