"""The library's front door: what `fire_core` names is there, typed and described."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import fire_core

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(fire_core.__file__).read_text(encoding="utf-8")
PACKAGES = ("fire_core", "tasks", "flows", "cli", "dashboard")
USER = """
from ase import Atoms
from fire_core import load_backbone, load_campaign

model = load_backbone("fire-mini")
reveal_type(model)
reveal_type(load_campaign)
{mistake}
"""


@pytest.mark.parametrize("name", fire_core.__all__)
def test_a_public_name_can_be_imported_and_is_described(name: str) -> None:
    found = getattr(fire_core, name)
    assert inspect.getdoc(found)
    assert found.__name__ == name


def test_type_checkers_and_programs_see_the_same_names() -> None:
    """The imports for type checkers, the lazy ones and `__all__` agree."""
    (block,) = (
        node
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {name: f"fire_core.{home}" for name, home in fire_core._HOMES.items()}
    assert typed == lazy
    assert sorted(lazy) == sorted(fire_core.__all__)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"public names: .*load_backbone"):
        _ = fire_core.load_backbones  # type: ignore[attr-defined]


def test_importing_the_library_is_light() -> None:
    code = (
        "import sys, fire_core; fire_core.__version__, dir(fire_core); "
        "print([m for m in ('torch', 'numpy', 'ase', 'prefect', 'pydantic')"
        " if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_a_users_type_checker_sees_types(tmp_path: Path) -> None:
    """Three lines of a user; a misspelt name is an error."""
    page = tmp_path / "user.py"
    page.write_text(USER.format(mistake="fine_tunes = __import__('x')"))
    wrong = tmp_path / "wrong.py"
    wrong.write_text(USER.format(mistake="from fire_core import fine_tunes"))
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    done = subprocess.run(
        [*command, str(page), str(wrong)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert 'Revealed type is "fire_core.backbones.base.Backbone"' in said
    assert "fire_core.config.campaign.CampaignConfig" in said
    mistakes = [line for line in said.splitlines() if " error: " in line]
    assert len(mistakes) == 1, said
    assert 'has no attribute "fine_tunes"' in mistakes[0]


def test_the_packages_say_that_they_are_typed() -> None:
    """PEP 561; `tests/deployments/test_images.py` finds the files in the wheel."""
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = [line for line in log.splitlines() if line.startswith("## [")][1]
    version, date = released.removeprefix("## [").split("] - ")
    assert project["project"]["version"] == fire_core.__version__ == version
    assert citation["version"] == version
    assert str(citation["date-released"]) == date


def test_the_citation_has_what_its_format_asks_for() -> None:
    """CFF 1.2.0: required keys, types that it knows, authors with names."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["license"] == "MIT"
    assert {"message", "title", "authors", "abstract", "keywords"} <= citation.keys()
    entities = [*citation["authors"]]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
        entities += reference["authors"]
    for entity in entities:
        assert entity.keys() <= {"family-names", "given-names", "name", "affiliation"}
        assert "family-names" in entity or "name" in entity


def test_the_changelog_has_a_place_for_what_comes() -> None:
    """Keep a Changelog: `[Unreleased]` first, sections of its kinds, newest first."""
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    assert releases[0] == "## [Unreleased]"
    kinds = {line for line in lines if line.startswith("### ")}
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert kinds <= {f"### {kind}" for kind in known}
