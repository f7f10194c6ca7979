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
    "docs",
)
STEPS = {
    "structures", "exploration", "selection", "labelling", "training", "evaluation",
    "uncertainty", "report", "backbones", "importing", "properties",
}  # fmt: skip
VOCABULARY = {
    *("config", "records", "errors", "files", "progress", "seeds", "extensions"),
    "children",
}
# Who may import which vendor (a room of fire_core, or a package).
DOORS = {
    "torch": {"backbones", "training", "exploration", "testing"},
    "mace": {"backbones"},
    "e3nn": {"backbones"},
    "torch_sim": {"backbones"},
    "chgnet": {"backbones"},
    "matscipy": {"backbones"},
    "vesin": {"backbones"},
    "sevenn": {"backbones"},
    "mattersim": {"backbones"},
    "orb_models": {"backbones"},
    "upet": {"backbones"},
    "nequix": {"backbones"},
    "deepmd": {"backbones"},
    "fairchem": {"backbones"},
    "matgl": {"backbones"},
    "matris": {"backbones"},
    "jax": {"backbones"},
    "torch_geometric": {"backbones"},
    "dscribe": {"selection"},
    "sklearn": {"selection"},
    "jobflow": {"labelling"},
    "tblite": {"labelling"},
    "kinisi": {"properties"},
    "scipp": {"properties"},
    "pymatgen": {"structures", "backbones", "importing", "labelling"},
    "sqlalchemy": {"storage"},
    "lmdb": {"structures", "training"},
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
    "study": {"study", "structures", "selection"},
    "uncertainty": {"uncertainty"},
    # what an addition inherits is tried with the steps that use it
    "testing": {"testing", *STEPS},
    # long dynamics are those of explorations; figures look like those of reports
    "properties": {"properties", "exploration", "structures", "backbones", "report"},
    "report": {"report", "study"},  # a study's points, plain numbers
    "storage": {"storage", "structures"},
    # the application: the one room where science and store meet
    "campaign": {*STEPS, "campaign", "storage", "study"},
    "config": set(),
    "records": set(),
    "errors": set(),
    "extensions": set(),
    "seeds": set(),
    "files": set(),
    "children": set(),
    # the public names, each imported when it is first used
    "__init__": {
        *("backbones", "evaluation", "selection", "storage", "structures", "training"),
        "campaign",
    },
    "progress": set(),
}


# What the dashboard may import of fire_core beside the vocabulary.
LOOKED_AT = {
    *("storage", "campaign", "labelling", "report", "structures", "properties"),
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


APART = {"pretraining", "benchmarks", "docs"}
# Which packages a package must not import, of these and the tests; `prefect` by DOORS.
ABOVE = {
    "fire_core": {*PACKAGES, "tests", "prefect"} - {"fire_core"},
    "tasks": {"flows", "cli", "dashboard", "tests", *APART},
    "flows": {"cli", "dashboard", "tests", *APART},
    "dashboard": {"prefect", "tasks", "flows", "cli", "tests", *APART},
    "cli": {"tests", *APART},
    "pretraining": {*PACKAGES, "tests", "prefect"} - {"fire_core", "pretraining"},
    "benchmarks": {"dashboard", "docs", "pretraining", "tests"},
    "docs": {*PACKAGES, "tests", "prefect"} - {"fire_core", "cli", "docs"},
}
# Which rooms of fire_core a package may import; every package that is not here: all.
SEEN = {
    "dashboard": VOCABULARY | LOOKED_AT,
    "flows": VOCABULARY | {"campaign", "properties"},
}


def check_layer(package: str, room: str, names: set[str]) -> None:
    """Raise AssertionError unless a module of this place may import these names."""
    above = {name.split(".")[0] for name in names} & ABOVE[package]
    assert not above, f"{package} may not import {sorted(above)}"
    rooms = {n.split(".")[1] for n in names if n.startswith("fire_core.")}
    seen = SEEN.get(package, rooms)
    if package == "fire_core":
        seen = VOCABULARY | ALLOWED.get(room, set())
    extra = rooms - seen
    assert not extra, f"{room} may not import {sorted(extra)} of fire_core"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_keeps_to_its_layer(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    check_layer(package, room_of(path), imports_of(path))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_may_import_what_is_above_it(package: str) -> None:
    """The check bites in every package, so that no case of it can only pass."""
    for above in ABOVE[package]:
        with pytest.raises(AssertionError, match=f"may not import .*{above}"):
            check_layer(package, "config", {f"{above}.anything"})


@pytest.mark.parametrize("package", ["fire_core", *SEEN])
def test_no_package_may_import_a_room_that_is_closed_to_it(package: str) -> None:
    with pytest.raises(AssertionError, match=r"may not import .*exploration"):
        check_layer(package, "config", {"fire_core.exploration.batch"})


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


def import_graph() -> dict[str, set[str]]:
    """Which module of the product imports which, lazy and type-only imports too."""
    names = {}
    for path in PRODUCT:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {}
    for name, path in names.items():
        found = imports_of(path) & names.keys()
        # `from package import module` names the package, which imports nothing back
        graph[name] = {
            n for n in found if not any(m.startswith(f"{n}.") for m in found)
        }
    return {name: found - {name} for name, found in graph.items()}


def find_circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other."""
    import networkx as nx

    parts = nx.strongly_connected_components(nx.DiGraph(graph))
    return sorted(sorted(part) for part in parts if len(part) > 1)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert find_circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [
        ["a", "b", "c"]
    ]
    assert find_circles(import_graph()) == []


def test_a_task_file_is_thin_and_holds_tasks() -> None:
    """Build, call, return: what is more than that belongs into fire_core.campaign."""
    support = {"__init__.py", "observer.py", "progress.py"}
    for path in (ROOT / "tasks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 60, f"{path} is too long"
        assert path.name in support or "@task(" in text, f"{path} holds no task"
    assert [
        p.name for p in (ROOT / "tasks").rglob("*.py") if p.parent.name != "tasks"
    ] == []


def test_a_task_is_called_through_prefect() -> None:
    """Whoever wants the body of a task calls what the task calls."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*modules(), *(ROOT / "tests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "fn"
    ]
    assert found == []


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
