"""The tutorial's files are those of examples/; a program can follow the page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.tools.blocks import read_blocks
from docs.tools.tutorial import PAGE, script_of
from fire_core.config.load import load_campaign
from fire_core.structures.interfaces import build_system

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "tutorial"


def test_files_that_the_reader_writes_are_the_examples() -> None:
    written = {b.title: b.text for b in read_blocks(PAGE) if b.title}
    kept = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.iterdir()}
    assert written == kept


def test_the_interface_is_what_the_page_says() -> None:
    config = load_campaign(EXAMPLE / "licl_lif.yaml")
    (start,) = build_system(config.system, EXAMPLE)
    assert start.get_chemical_formula() == "Cl10F16Li26"
    assert "Cl10F16Li26" in PAGE.read_text(encoding="utf-8")


def test_the_page_is_a_script() -> None:
    script = script_of(read_blocks(PAGE))
    checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
    assert checked.returncode == 0
    assert "fire campaign run licl_lif.yaml" in script
    assert "kill $dashboard" in script


@pytest.mark.skipif(
    "FIRE_RUN_TUTORIAL" not in os.environ, reason="takes long; set FIRE_RUN_TUTORIAL=1"
)
@pytest.mark.timeout(7200)
def test_the_page_can_be_followed(tmp_path: Path) -> None:
    clone = tmp_path / "fire"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    command = [sys.executable, "-m", "docs.tools.tutorial", str(clone)]
    assert subprocess.run(command, cwd=clone, check=False).returncode == 0
