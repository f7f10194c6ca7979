"""Campaigns of before, opened where another release of the labelling code is installed.

The store is one that FIRE 0.1 left (tests/storage/data): a finished campaign, one that
was stopped in the middle of its labels, a study.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from typer.testing import CliRunner

from cli.main import app
from dashboard.access.people import People
from dashboard.access.roles import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from fire_core.campaign.campaign import Campaign
from fire_core.campaign.names import PERTURB, SELECTED
from fire_core.campaign.reference import CampaignRef
from fire_core.errors import StoreError
from fire_core.labelling.codes import xtb
from fire_core.records import LabelState
from tests.dashboard.lab import NAMES, SECRET, Browser, words
from tests.storage.old_store import OldStore, unpack_old_store

if TYPE_CHECKING:
    from pathlib import Path

NEXT = "0.9.9"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> OldStore:
    return unpack_old_store(tmp_path_factory.mktemp("old"))


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tblite be of a release that did not compute the labels."""
    monkeypatch.setattr(xtb, "version", lambda _: NEXT)


def ref(old: OldStore, name: str) -> CampaignRef:
    return CampaignRef(name=name, db=old.url, blobs=old.blobs)


def fire(old: OldStore, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--db", old.url, "--blobs", old.blobs])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.usefixtures("upgraded")
def test_a_finished_campaign_reports_what_it_has(old: OldStore, tmp_path: Path) -> None:
    fire(old, "campaign", "report", "finished", "--folder", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["models"].keys() == {
        "zero_shot", "pre_fine_tuned", "vanilla", "fire",
    }  # fmt: skip
    assert found["label_counts"]["done"] == 6 + 4 + 4 + 3
    assert found["provenance"]["theory"].startswith("tblite 0.8.0")
    assert len(found["rounds"]["rows"]) == 3
    assert found["rounds"]["decision"].startswith("Ended, ")


@pytest.mark.usefixtures("upgraded")
def test_the_console_shows_and_checks_it(old: OldStore) -> None:
    listed = json.loads(fire(old, "campaign", "list", "--json"))
    assert listed.keys() == {"finished", "stopped"}
    shown = json.loads(fire(old, "model", "show", "finished", "fire-2", "--json"))
    assert shown["state"] == "production"
    required = len(shown["gates"])
    assert required == 10
    # all are known, so nothing is measured again
    checked = CliRunner().invoke(
        app, ["model", "check", "finished", "fire-2", "--json", "--db", old.url,
              "--blobs", old.blobs],
    )  # fmt: skip
    assert json.loads(checked.output) == shown["gates"]
    why = json.loads(fire(old, "campaign", "explain", "finished", "--json"))
    assert (why["round"], len(why["picks"])) == (2, 4)


@pytest.mark.usefixtures("upgraded")
def test_every_page_of_the_dashboard_opens(old: OldStore, tmp_path: Path) -> None:
    People(tmp_path / "people").put(NAMES[Role.VIEWER], Role.VIEWER, SECRET)
    settings = DashboardSettings(
        db=old.url, blobs=old.blobs, people=tmp_path / "people"
    )
    browser = Browser(create_app(settings))
    browser.post("/login", name=NAMES[Role.VIEWER], password=SECRET)
    for path in (
        *("/", "/campaigns/finished", "/campaigns/stopped", "/models", "/structures"),
        *("/models/finished/fire-2", "/labels", "/properties"),
        *("/map/finished/2", "/api/v1/campaigns/finished"),
    ):
        page = browser.get(path)
        assert page.status_code == httpx.codes.OK, (path, page.text[:500])
    model = words(browser.get("/models/finished/fire-2"))
    assert "required gates are passed" in model
    assert "Forces by element" in model


@pytest.mark.usefixtures("upgraded")
def test_a_study_reports_what_it_has(old: OldStore, tmp_path: Path) -> None:
    arguments = ["study", "report", "tiny", "--folder", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--db", old.url, "--blobs", old.blobs])
    assert done.exit_code == 1  # two of its four cells failed, which it says
    assert "2 of 4 cells finished" in done.output
    found = json.loads((tmp_path / "study.json").read_text())
    assert (found["cells_finished"], len(found["failures"])) == (2, 2)


def test_a_stopped_campaign_goes_on_with_the_release_that_began_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = unpack_old_store(tmp_path)
    with Campaign.find(ref(old, "stopped")) as campaign:
        first = campaign.round(1)
        assert campaign.is_labelled(0, PERTURB)
        assert not first.is_labelled()
        with monkeypatch.context() as patch:
            patch.setattr(xtb, "version", lambda _: NEXT)
            with pytest.raises(
                StoreError,
                match=r"labels of campaign 'stopped' are of tblite 0\.8\.0 .* here is "
                r"tblite 0\.9\.9 .* 2 more labels would be of another theory level",
            ):
                first.label()
        counts = campaign.label_counts(1, SELECTED)
        assert counts[LabelState.DONE] == 2  # what is there stays
        summary = first.label()
        assert summary.done + summary.failed == 4
        assert first.is_labelled()
        assert len(first.fine_tune()) == 64  # the model's sha256
