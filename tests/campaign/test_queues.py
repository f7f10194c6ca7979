"""Steps whose backbone has an environment of its own wait in a queue of it."""

from __future__ import annotations

import uuid

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

from fire_core.campaign.names import work_queue_of
from fire_core.campaign.reference import CampaignRef
from flows import dispatch
from flows.explore import explore_flow


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("sevenn", "backbone-sevenn"),
        ("orb:a.ckpt", "backbone-orb"),
        ("chgnet", "default"),
    ],
)
def test_a_step_is_sent_to_the_workers_that_have_its_model(
    backbone: str, expected: str
) -> None:
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        flow = client.create_flow_from_name(explore_flow.name)
        deployment = client.create_deployment(flow, "explore", work_pool_name=pool)
        ref = CampaignRef(name=pool, db="sqlite:///a.db", blobs="blobs")
        step = {"round_": 1, "purpose": "explore"}
        queue = work_queue_of(backbone)
        sent = dispatch._send(explore_flow, ref, "fire-explore-1", step, queue)
        run = client.read_flow_run(sent)
        assert (run.work_pool_name, run.work_queue_name) == (pool, expected)
        client.delete_flow_run(sent)
        client.delete_deployment(deployment)
