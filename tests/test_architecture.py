"""The layers, the doors of vendors and the size of rooms (docs/architecture.md)."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "fire_core",
    "tasks",
    "flows",
    "cli",
    "dashboard",
    "pretraining",
    "benchmarks",
    "documentation",
)
STEPS = {
    "structures", "exploration", "selection", "labelling", "training", "evaluation",
    "uncertainty", "report", "backbones", "importing", "properties",
}  # fmt: skip
VOCABULARY = {"config", "records", "errors", "files", "progress", "extensions"}
# Who may import which vendor (a room of fire_core, or a package).
DOORS = {
    "torch": {"backbones", "training", "exploration"},
    "mace": {"backbones", "training"},
    "e3nn": {"backbones", "training"},
    "torch_sim": {"backbones", "exploration"},
    "chgnet": {"backbones"},
    "dscribe": {"selection"},
    "sklearn": {"selection"},
    "jobflow": {"labelling"},
    "tblite": {"labelling"},
    "kinisi": {"properties"},
    "scipp": {"properties"},
    "pymatgen": {"structures", "backbones", "importing", "labelling"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "impedance": {"properties"},
    "phonopy": {"properties"},
    "matplotlib": {"report", "properties"},  # figure.py of a kind alone
    "jinja2": {"report", "dashboard"},
    "fastapi": {"dashboard"},
    "starlette": {"dashboard"},
    "argon2": {"dashboard"},
    "itsdangerous": {"dashboard"},
    "plotly": {"dashboard"},
    "chemiscope": {"dashboard"},
    "typer": {"cli"},
    "rich": {"cli"},
    "prefect": {"tasks", "flows", "cli"},
}
# What a room of fire_core may import from fire_core beside the vocabulary.
ALLOWED = {
    "structures": {"structures"},
    "exploration": {"exploration", "structures", "backbones"},
    "selection": {"selection", "structures"},
    "labelling": {"labelling", "structures", "backbones"},
    "backbones": {"backbones", "structures"},
    "training": {"training", "backbones", "structures", "evaluation", "selection"},
    # gates judge survival by the guarded dynamics that campaigns explore with
    "evaluation": {"evaluation", "backbones", "structures", "exploration"},
    # theory levels are read from files
    "importing": {"importing", "labelling", "structures"},
    "study": {"study", "structures", "selection", "campaign"},
    "uncertainty": {"uncertainty"},
    # long dynamics are those of explorations; figures look like those of reports
    "properties": {"properties", "exploration", "structures", "backbones", "report"},
    # where properties and the store meet
    "campaign_properties": {
        *("properties", "storage", "backbones", "labelling", "report"),
    },
    # contracts that additions inherit
    "testing": {"testing", "properties", "backbones"},
    "report": {"report", "study"},  # a study's points, plain numbers
    "storage": {"storage", "structures"},
    # the one room that reads the store for people and for deliveries
    "reading": {
        *("reading", "storage", "campaign", "labelling", "report", "structures"),
        "properties",
    },
    "config": set(),
    "records": set(),
    "errors": set(),
    "extensions": set(),
    "campaign": {"uncertainty"},  # its learning curve, plain numbers
    "spending": set(),
    "files": set(),
    "progress": set(),
}


# What the dashboard may import of fire_core beside the vocabulary.
LOOKED_AT = {
    *("storage", "reading", "campaign", "spending", "labelling", "report"),
    *("structures", "properties"),
}


def modules() -> list[Path]:
    return sorted(
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts
    )


def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports, lazy and type-only imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    """Return the room of a fire_core module, or the package of any other."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "fire_core" and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_keeps_to_its_layer(path: Path) -> None:
    room, names = room_of(path), imports_of(path)
    if path.relative_to(ROOT).parts[0] == "fire_core":
        tops = {name.split(".")[0] for name in names}
        if room == "campaign_properties":  # leases are still in tasks/context.py
            tops -= {"tasks"}
        assert not tops & {"prefect", "tasks", "flows", "cli", "dashboard"}
        rooms = {n.split(".")[1] for n in names if n.startswith("fire_core.")}
        extra = rooms - VOCABULARY - ALLOWED.get(room, set())
        assert not extra, f"{path} may not import {sorted(extra)}"
    elif room == "tasks":
        assert not {n.split(".")[0] for n in names} & {"flows", "cli"}
    elif room == "dashboard":
        tops = {n.split(".")[0] for n in names}
        assert not tops & {"prefect", "tasks", "flows", "cli"}
        rooms = {n.split(".")[1] for n in names if n.startswith("fire_core.")}
        assert rooms <= VOCABULARY | LOOKED_AT
    elif room == "flows":
        assert "cli" not in {n.split(".")[0] for n in names}
        science = {n.split(".")[1] for n in names if n.startswith("fire_core.")}
        assert science <= VOCABULARY | {"campaign", "properties"}, (
            f"{path} imports {science}"
        )


APART = {"pretraining", "benchmarks", "documentation"}
PRODUCT = [m for m in modules() if room_of(m) not in APART]


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_vendor_comes_through_its_door(path: Path) -> None:
    room = room_of(path)
    for name in {n.split(".")[0] for n in imports_of(path)} & DOORS.keys():
        assert room in DOORS[name], f"{path} imports {name}: only {DOORS[name]} may"


def test_a_kind_of_property_draws_in_its_figure_module_alone() -> None:
    """What measures runs where there is no matplotlib."""
    drawing = [
        path
        for path in (ROOT / "fire_core" / "properties").rglob("*.py")
        if "matplotlib" in {name.split(".")[0] for name in imports_of(path)}
        and path.name != "figure.py"
    ]
    assert not drawing


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*modules(), *(ROOT / "tests").rglob("*.py")]
    }
    assert not {p: n for p, n in lengths.items() if n > 400}


def test_every_module_says_what_it_does() -> None:
    silent = [
        path
        for path in modules()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_every_room_is_described_in_the_architecture_document() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        p.name for p in (ROOT / "fire_core").iterdir() if (p / "__init__.py").is_file()
    }
    missing = {room for room in rooms if f"`{room}" not in text}
    assert not missing


def test_orchestration_stays_light() -> None:
    """Importing every flow must not import torch, mace, dscribe or jobflow."""
    import subprocess
    import sys

    heavy = (
        *("torch", "mace", "dscribe", "jobflow", "tblite", "chgnet", "matplotlib"),
        *("impedance", "phonopy", "kinisi", "scipp"),
    )
    code = (
        "import sys, flows.campaign, cli.main; "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_runtime_dependencies_say_why_they_are_there() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = [d for d in tomllib.loads(text)["project"]["dependencies"] if "==" in d]
    unexplained = [
        d
        for d in pinned
        if not any(d in line and "#" in line for line in text.splitlines())
    ]
    assert not unexplained
