"""The site builds without a warning, and its reference is that of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.main import app
from docs.tools.commands import commands_to_markdown
from docs.tools.hooks import LINK
from docs.tools.pages import GENERATED
from docs.tools.picture import NUMBERS, PICTURE, draw
from docs.tools.schema import describe_type
from fire_core.config.load import config_schema
from fire_core.report.campaign_report import make_results
from tests.report.conftest import report_data  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from fire_core.report.data import ReportData

ROOT = Path(__file__).resolve().parents[2]


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(
        [*command, "--site-dir", str(site)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_site_builds_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """No page loads a script, a font, a style or a picture from the web."""
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    loads = re.compile(r"<(?:script|img|link)\b[^>]*\b(?:src|href)=\"https?://[^\"]*\"")
    for page in pages:
        assert not loads.findall(page.read_text(encoding="utf-8")), page
    styles = [p.read_text() for p in (tmp_path / "site").rglob("*.css")]
    assert not any("url(http" in style or "@import" in style for style in styles)


@pytest.mark.slow
def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    """In a copy: a page, an anchor and a file outside docs/ that are not there."""
    for part in ("docs", "benchmarks", "pretraining", "examples"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for part in ("docker", "deployments", "fire_core", "cli"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    page = tmp_path / "docs" / "method.md"
    bad = ("gone.md", "selection.md#gone", "../benchmarks/gone.py")
    links = "\n".join(f"[there]({link})\n" for link in bad)
    page.write_text(page.read_text(encoding="utf-8") + links, encoding="utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert not [link for link in bad if f"'{link}'" not in said]


def test_the_reference_has_every_key_with_its_type() -> None:
    page = GENERATED["reference/configuration.md"]()
    parts = config_schema()
    keys = list(parts["properties"])
    for part in parts["$defs"].values():
        keys += part.get("properties", {})
    assert not [key for key in keys if f"| `{key}` |" not in page]
    assert "anything" not in page
    for name in re.findall(r"\]\(#(part-\w+)\)", page):
        assert f"{{ #{name} }}" in page


def test_types_are_said_as_people_write_them() -> None:
    number = {"type": "number", "exclusiveMinimum": 0}
    assert describe_type(number) == "number, > 0"
    both = {"anyOf": [number, {"type": "null"}]}
    assert describe_type(both) == "number, > 0 or `null`"
    assert describe_type({"enum": ["a", "b"]}) == "`a`, `b`"
    pair = {"type": "array", "prefixItems": [number, {"type": "integer"}]}
    assert describe_type(pair) == "[number, > 0, integer]"


def test_every_command_is_in_the_reference() -> None:
    page = commands_to_markdown()
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            word = command.name or command.callback.__name__.replace("_", "-")
            assert f"## fire {group.name} {word}\n" in page
    assert "| `--db` | text | `sqlite:///.fire/fire.db` |" in page


def test_readme_links_stay_in_the_repository() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all((ROOT / link).exists() for _, link, _, _ in LINK.findall(text))


def test_the_picture_is_drawn_from_the_numbers_beside_it() -> None:
    import json

    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    drawn = draw(numbers)
    assert PICTURE.read_text(encoding="utf-8") == drawn
    force = numbers["force_rmse_mev_per_angstrom"]
    assert f">{force['fire']:.0f}</text>" in drawn
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{force['zero_shot']:.0f} meV/Å zero-shot" in readme


def test_the_page_of_results_names_every_key(
    report_data: ReportData,  # noqa: F811
) -> None:
    page = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    results = make_results(report_data)
    keys = [*results, *results["models"]["fire"], *results["models"]]
    assert not [key for key in keys if f"`{key}`" not in page]
    assert f"`{results['format']}`" in page
