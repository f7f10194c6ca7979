"""Every flow is deployed, and every deployment names a flow that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from cli.service.blueprint import (
    CONTROL_POOL,
    POOL_TYPES,
    POOLS,
    read_deployments,
    read_template,
)
from fire_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = {item.name: item for item in read_deployments()}


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_deployment_names_a_documented_flow_of_its_name(name: str) -> None:
    flow = load_flow_from_entrypoint(
        DEPLOYMENTS[name].entrypoint, use_placeholder_flow=False
    )
    assert isinstance(flow, Flow)
    assert flow.name == f"fire-{name}"  # `flows.dispatch` sends to fire-NAME/NAME
    assert flow.description


def test_every_flow_is_deployed_and_who_waits_holds_no_slot() -> None:
    flows = {
        path.stem
        for path in (ROOT / "flows").glob("*.py")
        if "@flow" in path.read_text(encoding="utf-8")
    }
    assert set(DEPLOYMENTS) == flows
    assert {item.pool for item in DEPLOYMENTS.values()} == set(POOLS)
    waiting = {n for n, item in DEPLOYMENTS.items() if item.pool == CONTROL_POOL}
    assert waiting == {"campaign", "resume"}
    assert DEPLOYMENTS["campaign"].tags == ["fire-restart"]


def test_the_form_of_a_campaign_explains_every_field() -> None:
    """The UI builds its form from this schema."""
    flow = load_flow_from_entrypoint(DEPLOYMENTS["campaign"].entrypoint)
    schema = parameter_schema(flow).model_dump_for_openapi()
    parts = schema["definitions"]
    fields = parts["CampaignConfig"]["properties"]
    assert fields["rounds"]["description"].startswith("Rounds of explore")
    silent = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, field in definition.get("properties", {}).items()
        if "description" not in field
        and not {"$ref", "allOf", "const"} & field.keys()
        and name != "kind"
    ]
    assert len(silent) < 20, silent  # names that speak for themselves


@pytest.mark.parametrize("pool_type", POOL_TYPES)
@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_has_a_template_of_each_type(pool: str, pool_type: str) -> None:
    template = read_template(pool, pool_type)
    assert set(template) == {"job_configuration", "variables"}


def test_another_type_of_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a pool type of process, docker"):
        read_template(CONTROL_POOL, "vagrant")
