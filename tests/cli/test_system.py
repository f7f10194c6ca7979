"""`fire system`: what is listed, shown, built and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from cli.main import app
from fire_core.config.load import load_campaign
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WIDE = {"COLUMNS": "200"}

CAMPAIGN = """
name: mine
system:
  preset: licl-gaf3
  match: 1
  max_atoms: 140
"""


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["system", *arguments], env=WIDE)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_interfaces_are_listed_with_their_planes() -> None:
    lines = run("list", "--interfaces").splitlines()
    row = next(line for line in lines if "llzto-llzno" in line)
    assert "LLZTO(0 0 1), x = 0.5" in row
    assert "LLZNO(0 0 1), x = 0.25" in row


def test_show_ranks_marks_and_draws(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    text = run("show", "licl-gaf3", "--png", str(picture))
    marked = [line for line in text.splitlines() if "→" in line]
    assert len(marked) == 3  # a cut for each side, and the match
    assert " 68 " in marked[-1]
    assert "68 atoms" in text
    assert "g/cm³" in text
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    assert pixels.shape[1] > 1000
    fluorine = np.array([0.565, 0.878, 0.314])  # Jmol's colour
    assert (np.abs(pixels - fluorine).max(axis=-1) < 0.02).sum() > 500


def test_a_campaign_file_with_a_preset_is_built_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(CAMPAIGN)
    config = load_campaign(file)
    assert config.system.kind == "interface"
    out = tmp_path / "start.cif"
    run("build", str(file), str(out))
    atoms = read(out)
    text = run("show", str(file))
    taken = [line for line in text.splitlines() if "→" in line][-1]
    assert f" {len(atoms)} " in taken


def test_polar_slabs_and_orders_are_told() -> None:
    text = run("show", "li-llzto")
    assert "polar (Tasker type 3)" in text
    assert "ordered with seed 0 in 94 atoms" in text
    assert "Li on Li1: " in text


def test_a_name_that_is_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"neither a campaign file nor an interface"):
        run("show", "li-nothing")
