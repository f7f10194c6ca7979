"""A campaign small enough for a test, and one Prefect server for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fire_core.campaign.usage import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "threads": 1,
    "system": {
        "kind": "interface",
        "bottom": {"crystal": "LiF", "miller": [0, 0, 1], "layers": 2},
        "top": {"crystal": "LiCl", "miller": [0, 0, 1], "layers": 2},
        "max_strain": 0.35,
        "min_atoms": 8,
        "max_atoms": 24,
    },
    "label": {"workers": 2, "batch": 4, "lease": 4},
    "perturb": {"n": 6},
    "pre_fine_tune": {"epochs": 2, "devices": min(2, available_cores())},
    "explore": {
        "temperatures": [300, 600],
        "replicas": 2,
        "steps": 60,
        "save_every": 4,
        "segment": 12,
    },
    "select": {"n": 6, "soap": {"workers": 1, "average": "species_region"}},
    "fine_tune": {"epochs": 4},
    "committee": {"members": 2, "fraction": 0.7, "parallel": 2},
    "evaluate": {
        "dynamics": {
            "temperatures": [400],
            "replicas": 1,
            "steps": 24,
            "save_every": 4,
            "segment": 12,
        },
        "n": 3,
        "stability": {"steps": 10},
    },
}


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Address of a Prefect server of this test session, with its own database."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield str(PREFECT_API_URL.value())


@pytest.fixture
def environment(prefect_server: str) -> dict[str, str]:
    """What a console command needs to use that server."""
    return {
        **os.environ,
        "PREFECT_API_URL": prefect_server,
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }


def write_campaign(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | changes))
    return path


def start_campaign(path: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start `fire campaign run` in the campaign's folder, as a person would."""
    log = (path.parent / "run.log").open("a")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "campaign", "run", path.name],
            cwd=path.parent,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
