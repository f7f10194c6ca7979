"""A package of one's own adds to the open sets by being installed.

It is installed, without a network, into an environment of its own that sees the
packages of this one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from fire_core.config.open_sets import GATES
from fire_core.properties.kinds import KINDS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def run(*command: str | Path, folder: Path) -> str:
    """Return what a command prints; fail with what it says of its failure."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package aside: building it leaves files beside its source."""
    folder = tmp_path_factory.mktemp("plugin") / "package"
    left = shutil.ignore_patterns("conftest.py", "test_plugin.py", "__pycache__")
    return Path(shutil.copytree(HERE, folder, ignore=left))


@pytest.fixture(scope="module")
def python(package: Path) -> Path:
    """Return the interpreter of an environment in which the package is installed."""
    folder = package.with_name("environment")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    python = folder / "bin" / "python"
    ours = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    link = f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n"
    Path(ours["purelib"], "packages_of_the_tests.pth").write_text(link)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", *options, package, folder=package)
    return python


@pytest.fixture(scope="module")
def used(python: Path, package: Path) -> dict[str, Any]:
    """Return what came of using the additions in another process."""
    found = run(python, "-P", "use.py", "campaign.yaml", folder=package)
    return dict(json.loads(found))


def test_additions_come_after_what_fire_brings(used: dict[str, Any]) -> None:
    assert used["labellers"][-1] == "morse"
    assert used["selectors"][-1] == "outermost"
    assert used["gates"] == [*GATES.builtin, "net_force"]
    assert used["backbones"][-2:] == ["argon", "pair"]
    assert used["imported_early"] == []


def test_a_campaign_file_uses_them_and_its_schema_shows_them(
    used: dict[str, Any],
) -> None:
    assert used["theory"] == {"kind": "morse", "depth": 0.25, "distance": 2.6}
    assert used["round_trip"]
    assert used["in_schema"] == ["Depth of the well, eV.", True, True]
    assert used["default_gates"] == list(GATES.builtin)  # nobody is asked to pass it
    assert "theory.morse.dept: unknown key; did you mean `depth`?" in used["misspelt"]
    too_low = "evaluate.gates.others: net_force.force: Input should be greater than 0"
    assert too_low in used["misspelt"]


def test_the_labeller_labels_is_fingerprinted_and_its_failures_have_a_kind(
    used: dict[str, Any],
) -> None:
    assert used["described"].startswith("ase/morse ")
    assert len(used["fingerprint"]) == 16
    assert used["energy"] < 0
    assert used["failure"] == ["bad_geometry", "ValueError: nobody is near"]


def test_selector_and_gate_do_their_work(used: dict[str, Any]) -> None:
    assert used["picks"] == 5
    assert used["verdicts"] == {"reload": True, "net_force": True}
    assert used["limits"][-1] == 2.5
    assert used["refused"] == {"net_force": False}


def test_the_kind_of_property_is_measured_kept_and_drawn(used: dict[str, Any]) -> None:
    assert used["kinds"] == [*KINDS.builtin, "cohesive_energy"]
    assert used["property_variant"] == "#/$defs/CohesionSettings"
    assert used["cohesive_energy"] == [["cohesive_energy", "eV/atom"]]
    assert used["property_is_stored"]
    assert used["property_asked_again"] == ["licl-cohesion is in the store already"]
    assert used["property_figures"] == ["isolated_atoms.png"]


def test_the_console_shows_the_settings_of_the_kind(
    python: Path, package: Path
) -> None:
    said = run(
        *(python, "-P", "-m", "cli.main", "properties", "kinds", "cohesive_energy"),
        folder=package,
    )
    assert "Edge of the cube" in said


def test_backbones_are_found_by_name_and_by_file(used: dict[str, Any]) -> None:
    assert used["packages"] == ["fire-plugin-example"] * 2
    assert used["loaded_again"]


def test_its_own_tests_inherit_the_contracts(python: Path, package: Path) -> None:
    said = run(python, "-P", "-m", "pytest", "-q", "-W", "ignore", folder=package)
    assert " passed" in said
    assert "failed" not in said
