"""A decision in the store makes a campaign on a real server go on, however close.

`fire watch` finds it, `fire campaign approve` says what it did, and a run that is
suspended a moment after the decision sees it by itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli import campaign_service
from cli.main import app
from cli.service.watch import look
from dashboard.prefect_api import (
    PREFECT_SAYS,
    ask_prefect,
    find_runs,
    last_campaign_runs,
)
from fire_core.campaign.views.overview import LastRun
from fire_core.config.campaign import CampaignConfig
from fire_core.config.environment import BLOBS, DATABASE
from fire_core.config.load import config_to_json
from fire_core.records import Decided
from fire_core.storage.store import Store
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

    from fire_core.storage.approvals import ApprovalRow

STUCK_S = 1e6


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    """A client of a server of this module."""
    from prefect.client.orchestration import get_client
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=400),
        get_client(sync_client=True) as opened,
    ):
        yield opened


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    url, blobs = f"sqlite:///{tmp_path}/fire.db", str(tmp_path / "blobs")
    monkeypatch.setenv(DATABASE, url)
    monkeypatch.setenv(BLOBS, blobs)
    with Store.open(url, blobs) as opened:
        yield opened


def create_run(client: SyncPrefectClient, campaign: str) -> FlowRun:
    """Schedule a campaign's run of its deployment."""
    flow = client.create_flow_from_name("fire-campaign")
    deployment = client.create_deployment(flow, "campaign")
    tags = [f"campaign:{campaign}", "fire-campaign"]
    return client.create_flow_run_from_deployment(deployment, name=campaign, tags=tags)


def suspend(
    client: SyncPrefectClient, campaign: str, key: str, *, form: bool = True
) -> UUID:
    """Leave a run as `flows.approval` does: suspended until its form is filled in."""
    from prefect.input.run_input import keyset_from_paused_state
    from prefect.states import Running, Suspended

    from flows.approval import approval_form

    run = create_run(client, campaign)
    client.set_flow_run_state(run.id, Running(), force=True)
    state = Suspended(timeout_seconds=None, pause_key=key)
    keyset = keyset_from_paused_state(state)
    state.state_details.run_input_keyset = keyset
    client.set_flow_run_state(run.id, state)
    if form:
        schema: Any = approval_form(6, "six labels").model_json_schema()
        client.create_flow_run_input(run.id, keyset["schema"], json.dumps(schema))
    return run.id


def kind(client: SyncPrefectClient, run: UUID) -> str:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.type.value


def ask(store: Store, campaign: str, round_: int = 1) -> None:
    store.campaigns.open(campaign, "{}")
    store.approvals.ask(campaign, round_, "selected", 6, "{}")


def test_a_decision_of_the_dashboard_makes_a_campaign_go_on(
    client: SyncPrefectClient, store: Store
) -> None:
    ask(store, "salt")
    ask(store, "other")
    run = suspend(client, "salt", "approve-selected-1")
    left = suspend(client, "other", "approve-selected-1")
    assert look(client, STUCK_S) == []
    assert kind(client, run) == "PAUSED"
    store.approvals.decide("salt", 1, "selected", Decided(4, "olga", "enough"))
    (line,) = look(client, STUCK_S)
    assert line == "salt resumed: 4 of 6 labels approved by olga"
    assert kind(client, run) == "SCHEDULED"
    assert kind(client, left) == "PAUSED"
    inputs = client.filter_flow_run_input(run, "", limit=10, exclude_keys=set())
    answers = [json.loads(i.value) for i in inputs if i.key.endswith("-response")]
    assert answers == [{"labels": 4, "who": "olga", "reason": "enough"}]
    assert look(client, STUCK_S) == []


def test_a_decision_of_an_earlier_round_is_not_taken_for_this_one(
    client: SyncPrefectClient, store: Store
) -> None:
    ask(store, "rounds")
    store.approvals.decide("rounds", 1, "selected", Decided(6, "olga"))
    ask(store, "rounds", 2)
    run = suspend(client, "rounds", "approve-selected-2")
    assert look(client, STUCK_S) == []
    assert kind(client, run) == "PAUSED"
    store.approvals.decide("rounds", 2, "selected", Decided(0, "olga"))
    assert look(client, STUCK_S) == ["rounds resumed: 0 of 6 labels rejected by olga"]


def test_a_run_that_waits_for_something_else_is_left(
    client: SyncPrefectClient, store: Store
) -> None:
    ask(store, "else")
    store.approvals.decide("else", 1, "selected", Decided(6, "olga"))
    run = suspend(client, "else", "another-key")
    assert look(client, STUCK_S) == []
    assert kind(client, run) == "PAUSED"


def options(store: Store) -> list[str]:
    return ["--db", str(store.engine.url), "--blobs", str(store.blobs.folder)]


def approve(store: Store, campaign: str) -> str:
    command = ["campaign", "approve", campaign, "--labels", "4"]
    done = CliRunner().invoke(app, [*command, *options(store)])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split("\n")[-2:]).strip()


def test_approving_resumes_the_run_that_waits_and_no_other(
    client: SyncPrefectClient, store: Store
) -> None:
    ask(store, "one")
    run = suspend(client, "one", "approve-selected-1")
    later = suspend(client, "one", "approve-selected-2")
    said = approve(store, "one")
    assert said == "4 of 6 labels approved; its suspended run was resumed"
    assert (kind(client, run), kind(client, later)) == ("SCHEDULED", "PAUSED")


def test_a_run_that_is_paused_without_its_form_is_resumed_too(
    client: SyncPrefectClient, store: Store
) -> None:
    """Between its two calls a run says PAUSED and refuses every answer."""
    ask(store, "formless")
    run = suspend(client, "formless", "approve-selected-1", form=False)
    assert approve(store, "formless").endswith("its suspended run was resumed")
    assert kind(client, run) == "SCHEDULED"
    run = suspend(client, "formless", "approve-selected-1", form=False)
    (line,) = look(client, STUCK_S)
    assert line.startswith("formless resumed: 4 of 6 labels approved by ")
    assert kind(client, run) == "SCHEDULED"


def test_approving_says_so_where_the_watch_was_first_or_nothing_runs(
    client: SyncPrefectClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(store, "watched")
    run = suspend(client, "watched", "approve-selected-1")
    resume = campaign_service._resume

    def look_and_resume(row: ApprovalRow) -> str:
        """The watch looks between the decision and the command's own look."""
        assert len(look(client, STUCK_S)) == 1
        return resume(row)

    monkeypatch.setattr(campaign_service, "_resume", look_and_resume)
    said = approve(store, "watched")
    assert said == "4 of 6 labels approved; its run goes on by itself"
    assert kind(client, run) == "SCHEDULED"
    monkeypatch.undo()
    ask(store, "nowhere")
    assert "no run of it is under way" in approve(store, "nowhere")


@pytest.mark.parametrize("moment", ["before the suspension", "before its form"])
def test_a_run_suspended_after_the_decision_goes_on_by_itself(
    client: SyncPrefectClient,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Whatever a person approves while a run is being suspended, the run sees it."""
    from prefect import flow
    from prefect.exceptions import Pause
    from prefect.flow_engine import run_flow

    from fire_core.campaign.reference import CampaignRef
    from flows import approval
    from tasks.observer import observed

    name = moment.replace(" ", "-")
    config = CampaignConfig.model_validate(TINY | {"name": name})
    store.campaigns.open(name, config_to_json(config))
    store.approvals.ask(name, 1, "selected", 6, "{}")
    ref = CampaignRef(
        name=name, db=str(store.engine.url), blobs=str(store.blobs.folder)
    )
    said: list[str] = []

    @flow(name="fire-campaign")
    def campaign_run() -> None:
        with observed(ref) as campaign:
            approval.wait_for_approval(campaign, 1, "selected")

    suspend_now, make_form = approval.suspend_flow_run, approval.approval_form

    def suspend_later(**given: Any) -> Any:
        said.append(approve(store, name))
        return suspend_now(**given)

    def form_later(*given: Any) -> type:
        form = make_form(*given)
        save = form.save

        def save_later(*keyset: Any) -> Any:
            said.append(approve(store, name))
            return save(*keyset)

        monkeypatch.setattr(form, "save", save_later)
        return form

    if moment == "before its form":
        monkeypatch.setattr(approval, "approval_form", form_later)
    else:
        monkeypatch.setattr(approval, "suspend_flow_run", suspend_later)
    run = create_run(client, name)
    with pytest.raises(Pause):
        run_flow(campaign_run, flow_run=run)
    assert kind(client, run.id) == "SCHEDULED"
    assert len(said) == 1
    assert said[0].startswith("4 of 6 labels approved; its ")


def test_a_database_that_is_away_does_not_end_it(
    client: SyncPrefectClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = suspend(client, "away", "approve-selected-1")
    nowhere = "postgresql+psycopg://fire@127.0.0.1:1/fire?connect_timeout=1"
    monkeypatch.setenv(DATABASE, nowhere)
    done = CliRunner().invoke(app, ["watch", "--once"])
    assert done.exit_code == 0, done.output
    assert "the store does not answer, campaigns stay suspended" in done.output
    assert kind(client, run) == "PAUSED"


def test_the_dashboard_finds_a_campaigns_runs_and_the_pools(
    client: SyncPrefectClient,
) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.states import Failed

    api = str(client.api_url)
    run = suspend(client, "shown", "approve-selected-1")
    (found,) = find_runs(api, "campaign:shown")
    assert found.path == f"/runs/flow-run/{run}"
    assert (found.state, found.kind) == ("suspended", "paused")
    assert last_campaign_runs(api)["shown"] == LastRun("paused", "suspended")
    client.set_flow_run_state(run, Failed(message=f"{PREFECT_SAYS}no figure"))
    last = last_campaign_runs(api)["shown"]
    assert (last.kind, last.message, last.is_over) == ("failed", "no figure", True)
    pool = WorkPoolCreate(name="cpu-pool", type="process", concurrency_limit=3)
    client.create_work_pool(pool, overwrite=True)
    said = ask_prefect(api)
    assert said.problem == ""
    assert said.runs["failed"] >= 1
    assert [(p.name, p.limit, list(p.workers)) for p in said.pools] == [
        ("cpu-pool", 3, [])
    ]


def test_a_server_that_is_away_is_told() -> None:
    assert "Connect" in ask_prefect("http://127.0.0.1:9/api").problem
    assert find_runs("http://127.0.0.1:9/api", "campaign:salt") == []
    assert last_campaign_runs("http://127.0.0.1:9/api") == {}
