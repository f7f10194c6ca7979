"""The commands and files that the README names are there; test_blocks runs it."""

from __future__ import annotations

import re
from pathlib import Path

import typer.core
import typer.main

from cli.main import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_named_exists() -> None:
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"^fire (\w+) (\w+)", TEXT, flags=re.MULTILINE)
    assert len(named) >= 8
    for group, command in named:
        assert group in groups, f"fire {group}"
        if isinstance(groups[group], typer.core.TyperGroup):  # else it is an argument
            assert command in groups[group].commands, f"fire {group} {command}"


def test_every_linked_file_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
