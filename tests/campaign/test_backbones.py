"""Foundation models beside the bundled one run the example campaign to its report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from fire_core.backbones.sevennet_install import PUBLISHED
from fire_core.campaign.names import FIRE, PRE_FINE_TUNED, VANILLA, ZERO_SHOT
from fire_core.storage.store import Store
from tests.campaign.conftest import ROOT, start_campaign
from tests.environments import install_or_skip, models_folder
from tests.events import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]

NAME = "licl-gaf3"
SHRUNK: dict[str, dict[str, Any]] = {
    "system": {"min_width": 4.0},  # 16 atoms
    "label": {"workers": 1, "batch": 4},
    "perturb": {"n": 4},
    "pre_fine_tune": {"epochs": 2, "learning_rate": 5e-4, "replay": {"ratio": 1.0}},
    "explore": {
        "temperatures": [300, 600],
        "replicas": 2,
        "steps": 16,
        "segment": 8,
    },
    "select": {"n": 4, "soap": {"workers": 1}},
    "fine_tune": {"epochs": 3, "learning_rate": 5e-4, "replay": {"ratio": 1.0}},
    "evaluate": {
        "dynamics": {
            "temperatures": [500],
            "replicas": 1,
            "steps": 12,
            "save_every": 4,
            "equilibration": 4,
            "segment": 12,
        },
        "n": 2,
        "stability": {"steps": 4},
    },
}
"""The example's sizes, made tiny; what it is made of stays."""


def write_example(folder: Path, backbone: str) -> Path:
    """Write the example campaign, shrunk, with another foundation model."""
    text = (ROOT / "examples" / "licl_gaf3.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text) | {"threads": 1, "backbone": {"name": backbone}}
    merge(settings, SHRUNK)
    path = folder / "example.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def merge(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(settings.get(name), dict):
            merge(settings[name], value)
        else:
            settings[name] = value


@pytest.fixture
def backbone(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
) -> str:
    """Name of a foundation model whose weights the campaign's commands find."""
    name = str(request.param)
    if name in PUBLISHED:
        folder = models_folder(tmp_path_factory)
        install_or_skip(name, folder)
        environment["FIRE_MODELS"] = str(folder)
    return name


@pytest.mark.parametrize("backbone", ["chgnet", "sevennet-0"], indirect=True)
def test_the_example_reaches_its_report_although_it_was_killed(
    backbone: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Killed once its fine-tuned model has driven some dynamics; then it ends."""
    path = write_example(tmp_path, backbone)
    database = tmp_path / ".fire" / "fire.db"

    def open_store() -> Store:
        return Store.open(f"sqlite:///{database}", tmp_path / ".fire" / "blobs")

    with start_campaign(path, environment) as process:
        wait_for(database.exists, process)
        with open_store() as store:
            wait_for(lambda: bool(store.runs.segments(1)), process, limit_s=1000)
            main = psutil.Process(process.pid)
            main.suspend()  # so that it starts nobody meanwhile
            family = [*main.children(recursive=True), main]
            for each in family:
                each.kill()
            psutil.wait_procs(family, timeout=60)
            before = store.models.need(NAME, PRE_FINE_TUNED).blob_sha
    with start_campaign(path, environment) as process:
        code = process.wait(timeout=3000)
    assert code == 0, (tmp_path / "run.log").read_text()[-3000:]
    results = tmp_path / "results" / NAME
    models = json.loads((results / "results.json").read_text())["models"]
    score = "force_rmse_mev_per_angstrom"
    assert all(models[m][score] > 0 for m in (ZERO_SHOT, PRE_FINE_TUNED, VANILLA, FIRE))
    assert models[FIRE][score] < models[ZERO_SHOT][score]  # GFN1-xTB is learnt
    with open_store() as store:
        assert store.models.need(NAME, PRE_FINE_TUNED).blob_sha == before
        assert store.models.need(NAME, FIRE).blob_sha != before
