"""Every code block of the documentation is run, or parsed by what would run it."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.tools.blocks import (
    Block,
    check_command,
    check_names,
    fire_commands,
    inline_commands,
    read_blocks,
    simple_commands,
)
from fire_core.config.load import parse_campaign, parse_study
from fire_core.properties.load import parse_property

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
SHELL = {"sh", "bash"}
KNOWN = {*SHELL, "python", "yaml", "ini", "sql", "text", "cif", ""}
CAMPAIGN: dict[str, Any] = {"name": "part", "system": {"preset": "licl-gaf3"}}
PROPERTY: dict[str, Any] = CAMPAIGN | {"backbone": {"name": "fire-mini"}}
WRITTEN_BY_THE_READER = {"docker/.env"}


def name(block: Block) -> str:
    return f"{block.path.relative_to(ROOT)}:{block.line}"


def of(*languages: str) -> list[Any]:
    found = [block for block in BLOCKS if block.language in languages]
    return [pytest.param(block, id=name(block)) for block in found]


def pages_with(language: str) -> list[Any]:
    pages = dict.fromkeys(b.path for b in BLOCKS if b.language == language)
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def test_every_block_says_what_it_is() -> None:
    assert len(BLOCKS) > 60
    unknown = {name(b): b.language for b in BLOCKS if b.language not in KNOWN}
    assert not unknown


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page: Path, tmp_path: Path) -> None:
    """The blocks of a page run one after the other in a process of their own."""
    script = tmp_path / "page.py"
    blocks = [block.text for block in read_blocks(page) if block.language == "python"]
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_what_fire_accepts(block: Block) -> None:
    """A whole file as it is; a part of one within the smallest file around it."""
    raw = yaml.safe_load(block.text)
    assert isinstance(raw, dict)
    if "variants" in raw:
        parse_study(raw)
    elif "measure" in raw:
        has_model = raw["measure"]["kind"] not in {"impedance", "structure_check"}
        around = PROPERTY if has_model else {"name": "part"}
        parse_property(around | raw)
    elif "analysis" in raw:
        parse_property(PROPERTY | {"measure": {"kind": "transport"} | raw})
    else:
        parse_campaign(CAMPAIGN | raw)


@pytest.mark.parametrize("block", of("ini"))
def test_ini_is_ini(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text if "[" in block.text else f"[top]\n{block.text}")
    assert parser.sections()


@pytest.mark.parametrize("block", of(*SHELL))
def test_shell_is_shell_and_its_commands_exist(block: Block) -> None:
    parsed = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr
    for words in fire_commands(block.text):
        check_command(words)


@pytest.mark.parametrize("block", of(*SHELL))
def test_files_modules_and_targets_named_exist(block: Block) -> None:
    """What is named in the repository's own folders is there."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    folders -= {"results", "build"}  # what runs write
    for words in simple_commands(block.text):
        if words[:1] == ["make"]:
            assert set(words[1:]) <= set(targets)
        if "-m" in words and words[words.index("-m") - 1].startswith("python"):
            module = words[words.index("-m") + 1].replace(".", "/")
            is_ours = module.split("/")[0] in folders
            there = (ROOT / f"{module}.py", ROOT / module / "__init__.py")
            assert not is_ours or any(path.is_file() for path in there), module
        for word in words:
            is_ours = "/" in word and word.split("/")[0] in folders
            if is_ours and not re.search(r"[*{$=]", word):
                assert word in WRITTEN_BY_THE_READER or (ROOT / word).exists(), word


MENTIONED = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)}")
    for page in PAGES
    for words in inline_commands(page)
]


@pytest.mark.parametrize("words", MENTIONED)
def test_commands_mentioned_exist(words: list[str]) -> None:
    check_names(words)


def test_a_command_that_is_not_there_is_found() -> None:
    (words,) = fire_commands("PGPASSWORD=x fire campaign rnu my.yaml | tail -1  # so\n")
    assert words == ["fire", "campaign", "rnu", "my.yaml"]
    with pytest.raises(ValueError, match="no command 'rnu'"):
        check_command(words)
    with pytest.raises(ValueError, match="--colour"):
        check_command(["fire", "campaign", "run", "my.yaml", "--colour", "red"])
    with pytest.raises(ValueError, match="no command 'rnu'"):
        check_names(["fire", "campaign", "rnu"])
