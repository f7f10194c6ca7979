"""`fire watch` on a real server: a decision in the store makes a campaign go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.service.watch import look
from dashboard.prefect_api import ask_prefect, find_runs
from fire_core.config.environment import BLOBS, DATABASE
from fire_core.records import Decided
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

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


def suspend(client: SyncPrefectClient, campaign: str, key: str) -> UUID:
    """Leave a run as `flows.approval` does: suspended until its form is filled in."""
    from prefect.input.run_input import keyset_from_paused_state
    from prefect.states import Running, Suspended

    from flows.approval import approval_form

    flow = client.create_flow_from_name("fire-campaign")
    deployment = client.create_deployment(flow, "campaign")
    tags = [f"campaign:{campaign}", "fire-campaign"]
    run = client.create_flow_run_from_deployment(deployment, name=campaign, tags=tags)
    client.set_flow_run_state(run.id, Running(), force=True)
    state = Suspended(timeout_seconds=None, pause_key=key)
    keyset = keyset_from_paused_state(state)
    state.state_details.run_input_keyset = keyset
    client.set_flow_run_state(run.id, state)
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

    api = str(client.api_url)
    run = suspend(client, "shown", "approve-selected-1")
    (found,) = find_runs(api, "campaign:shown")
    assert found.path == f"/runs/flow-run/{run}"
    assert found.state == "suspended"
    pool = WorkPoolCreate(name="cpu-pool", type="process", concurrency_limit=3)
    client.create_work_pool(pool, overwrite=True)
    said = ask_prefect(api)
    assert said.problem == ""
    assert said.runs["paused"] >= 1
    assert [(p.name, p.limit, list(p.workers)) for p in said.pools] == [
        ("cpu-pool", 3, [])
    ]


def test_a_server_that_is_away_is_told() -> None:
    assert "Connect" in ask_prefect("http://127.0.0.1:9/api").problem
    assert find_runs("http://127.0.0.1:9/api", "campaign:salt") == []
