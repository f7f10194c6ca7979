"""Base job templates, Kubernetes and Slurm: each file passes its own vendor's check."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import kubernetes_validate
import pytest
import yaml
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from prefect.utilities.templating import apply_values

from tests.deployments.conftest import MANIFESTS, ROOT, SCRIPTS, TEMPLATES, tool

if TYPE_CHECKING:
    from pathlib import Path

KUBERNETES: Final = "1.37"
KINDS: Final = {"cpu": "cpu-pool", "gpu": "gpu-pool"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_base_job_template_passes_prefects_own_checks(path: Path) -> None:
    template = json.loads(path.read_text(encoding="utf-8"))
    kind = path.stem.split("-")[0]
    WorkPoolCreate(name="a-pool", type=kind, base_job_template=template)
    schema = template["variables"]
    is_valid_schema(schema, preprocess=False)
    defaults = default_values(template)
    assert defaults["stream_output"] is False, "a dead worker would end its runs"
    validate(
        defaults,
        schema,
        raise_on_error=True,
        preprocess=True,
        allow_none_with_default=True,
    )


def default_values(template: dict[str, Any]) -> dict[str, Any]:
    properties = template["variables"]["properties"]
    return {k: v["default"] for k, v in properties.items() if "default" in v}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_run_is_a_job_that_kubernetes_accepts(kind: str) -> None:
    path = ROOT / "deployments" / "templates" / f"kubernetes-{kind}.json"
    template = json.loads(path.read_text(encoding="utf-8"))
    job = apply_values(
        template["job_configuration"]["job_manifest"], default_values(template)
    )
    container = job["spec"]["template"]["spec"]["containers"][0]
    # What Prefect's worker makes of it before it is sent.
    container["env"] = [{"name": k, "value": v} for k, v in container["env"].items()]
    container["args"] = ["prefect", "flow-run", "execute"]
    kubernetes_validate.validate(job, KUBERNETES, strict=True)
    assert container["command"] == ["tini", "--"], "else the entry point is `fire`"
    limits = container["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (1 if kind == "gpu" else None)
    assert job["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True


def test_kubernetes_accepts_the_manifests_and_they_fit_the_templates() -> None:
    text = MANIFESTS.read_text(encoding="utf-8")
    manifests = list(yaml.safe_load_all(text))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    named = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    for kind in KINDS:
        path = ROOT / "deployments" / "templates" / f"kubernetes-{kind}.json"
        values = default_values(json.loads(path.read_text(encoding="utf-8")))
        assert ("Namespace", values["namespace"]) in named
        assert ("ConfigMap", values["config_map"]) in named
        assert ("PersistentVolumeClaim", values["data_claim"]) in named
        assert ("ServiceAccount", values["service_account_name"]) in named


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_script_passes_shellcheck(script: Path) -> None:
    tool("shellcheck", script)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_slurm_job_is_told_before_its_end_and_queued_again(kind: str) -> None:
    name = {"cpu": "fire-worker", "gpu": "fire-gpu-worker"}[kind]
    path = ROOT / "deployments" / "slurm" / f"{name}.sbatch"
    text = path.read_text(encoding="utf-8")
    directives = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, flags=re.M)
    options = dict(directives)
    assert options["signal"].startswith("B:USR1@"), "worker.sh waits for USR1"
    assert {"requeue", "array"} <= options.keys()
    assert ("gres" in options) == (kind == "gpu")
    assert KINDS[kind] in text
    assert text.index("#SBATCH") < text.index("set -euo"), "else Slurm reads none"
