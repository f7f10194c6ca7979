"""A campaign in plain Python, without Prefect, and the same one as a flow."""

from __future__ import annotations

import json
import subprocess
import sys
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fire_core.campaign.campaign import Campaign
from fire_core.campaign.kinds import DECISION, JUDGEMENT
from fire_core.campaign.names import PERTURB, SELECTED, TEST
from fire_core.campaign.policy import Action
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import ConfigError, StoreError
from fire_core.records import Split
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

QUICK: dict[str, Any] = {
    "theory": {"kind": "lennard_jones"},
    "pre_fine_tune": {"epochs": 1, "devices": 1},
    "fine_tune": {"epochs": 2},
    "committee": {"members": 0},
    # one principal component, as of a plain crystal: its map is of one dimension
    "select": TINY["select"] | {"pca_components": 1},
    "evaluate": TINY["evaluate"] | {"vanilla": False},
}


def configure(folder: Path) -> CampaignConfig:
    where = {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")}
    changes = QUICK | {"store": where, "results": str(folder / "results")}
    return CampaignConfig.model_validate(TINY | changes)


def scores(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "results" / "results.json").read_text())
    return {key: found[key] for key in ("models", "label_counts", "learning_curves")}


PLAIN = """
import sys
from fire_core import Campaign
print(Campaign.open(sys.argv[1]).run())
"""
FLOW = """
import sys
from pathlib import Path
from fire_core.config.load import load_campaign
from flows.campaign import campaign_flow
print(campaign_flow(load_campaign(Path(sys.argv[1]))))
"""


def start(code: str, folder: Path, environment: dict[str, str]) -> Popen[str]:
    """Run a campaign in a process of its own, where nothing else has warmed up."""
    folder.mkdir()
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(configure(folder).model_dump(mode="json")))
    command = [sys.executable, "-W", "ignore", "-c", code, str(file)]
    return Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment)


def test_plain_python_and_the_flow_give_the_same_numbers(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    plain, flow = tmp_path / "plain", tmp_path / "flow"
    with (
        start(PLAIN, plain, environment) as one,
        start(FLOW, flow, environment) as two,
    ):
        told, problem = one.communicate(timeout=3300)
        assert told.splitlines()[-1:] == [f"{plain}/results/report.html"], problem
        problem = two.communicate(timeout=3300)[1]
        assert two.returncode == 0, problem
    assert scores(plain) == scores(flow)  # bit for bit
    assert (plain / "results" / "figures" / "pca_map.png").is_file()
    with Campaign.open(configure(plain)) as campaign:
        check_answers(campaign)


def check_answers(campaign: Campaign) -> None:
    assert campaign.last_judged_round() == 1
    first = campaign.round(1)
    assert first.is_labelled()
    assert first.is_chosen(TEST)
    with pytest.raises(ConfigError, match="expected a round from 0 to 1, got 2"):
        campaign.round(2)
    assert len(first.labelled()) == TINY["select"]["n"]
    assert first.summary().labels_done == TINY["select"]["n"]
    parts = [first.labelled(split) for split in (Split.TRAIN, Split.VALID)]
    known = [*campaign.labelled(0, PERTURB), *campaign.labelled(1, SELECTED)]
    assert {i.key for part in parts for i in part} == {i.key for i in known}
    decision = campaign.store.evaluations.get(DECISION, campaign.name)
    assert decision is not None
    assert decision.action is Action.FINISHED
    judged = campaign.store.evaluations.list(JUDGEMENT, campaign.name)
    assert {(row.round, row.subject) for row in judged} == {
        (1, kind) for kind in ("zero_shot", "pre_fine_tuned", "fire")
    }


def test_without_a_judged_model_there_is_no_report(tmp_path: Path) -> None:
    with (
        Campaign.open(configure(tmp_path)) as campaign,
        pytest.raises(StoreError, match="no judged model yet"),
    ):
        campaign.report()


def test_the_application_needs_no_prefect() -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; "
        "from fire_core import Campaign; import fire_core.campaign.studies.study; "
        "print('ok')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "ok", done.stderr
