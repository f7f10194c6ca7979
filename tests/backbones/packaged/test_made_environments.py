"""Environments made of the package index: the contract holds in each.

FIRE_TEST_ENVIRONMENTS names the families, with commas, or `all`; left out, none, since
the packages of each are some hundred megabytes.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fire_core.backbones.environments.folders import interpreter_in
from fire_core.backbones.environments.packages import PACKAGES
from tests.environments import install_or_skip, models_folder, skip_unless_asked

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[3]
UNTESTED = {"fairchem"}
"""No small network of it is known: it is imported, no more."""
NO_NETWORK = {
    "HF_HUB_OFFLINE": "1",
    **dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
        "http://127.0.0.1:9",  # refuses at once
    ),
}


@pytest.mark.parametrize("family", sorted(PACKAGES))
def test_the_contract_holds_where_the_package_lives(
    family: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    skip_unless_asked(family)
    folder = install_or_skip(family, models_folder(tmp_path_factory))
    if family in UNTESTED:
        return
    done = subprocess.run(
        [
            *(interpreter_in(folder), "-m", "pytest", "-q", "--import-mode=importlib"),
            *(
                "-p",
                "no:cacheprovider",
                "-o",
                "addopts=",
                "-o",
                "filterwarnings=ignore",
            ),
            *("--basetemp", tmp_path / "inner", "-rs"),
            *("-k", f"Test{family.capitalize()}"),
            "tests/backbones/packaged/test_packages.py",
        ],
        cwd=ROOT,
        env=os.environ | NO_NETWORK | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-2000:]
