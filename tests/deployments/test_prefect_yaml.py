"""Every flow is deployed, and every deployment names a flow that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
ENTRYPOINTS = {d["name"]: d["entrypoint"] for d in DEPLOYMENTS["deployments"]}


@pytest.mark.parametrize("name", sorted(ENTRYPOINTS))
def test_a_deployment_names_a_flow_with_documented_parameters(name: str) -> None:
    path, function = ENTRYPOINTS[name].split(":")
    flow = load_flow_from_entrypoint(f"{ROOT / path}:{function}")
    assert isinstance(flow, Flow)
    assert flow.name == f"fire-{name}"
    assert flow.description


def test_every_flow_is_deployed_to_one_of_three_pools() -> None:
    flows = {p.stem for p in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert set(ENTRYPOINTS) == flows
    pools = {d["work_pool"]["name"] for d in DEPLOYMENTS["deployments"]}
    assert pools == {"control-pool", "cpu-pool", "gpu-pool"}
    campaign = next(d for d in DEPLOYMENTS["deployments"] if d["name"] == "campaign")
    assert campaign["work_pool"]["name"] == "control-pool"
