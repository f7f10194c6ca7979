"""The images: their files pass hadolint, and what they copy and install is whole."""

from __future__ import annotations

import fnmatch
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.deployments.conftest import DOCKERFILES, ROOT, steps_of, tool


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda p: p.name)
def test_a_dockerfile_passes_hadolint(dockerfile: Path) -> None:
    assert tool("hadolint", "--failure-threshold=info", dockerfile) == ""


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda p: p.name)
def test_what_an_image_copies_is_there_and_reaches_the_build(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = set()
    for step in steps_of(dockerfile, "COPY"):
        if "--from=" in step:
            continue
        sources = [w for w in step.split()[1:-1] if not w.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), f"{dockerfile.name}: {step}"
            assert Path(source).parts[0] in let_in, f".dockerignore hides {source}"
        copied |= set(sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if any(fnmatch.fnmatch(path.parent.name, pattern) for pattern in found)
    }
    assert packages <= copied, "a package of FIRE is missing from the image"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda p: p.name)
def test_an_image_is_slim_pinned_and_nobody_is_root(dockerfile: Path) -> None:
    bases = [step.split()[1] for step in steps_of(dockerfile, "FROM")]
    assert bases == ["python:3.11-slim-bookworm"] * 2
    assert steps_of(dockerfile, "USER") == ["USER 10001:10001"]
    environment = " ".join(steps_of(dockerfile, "ENV"))
    # Else Prefect's page is missing: it is copied first, and the venv is root's.
    assert "PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/" in environment
    assert not steps_of(dockerfile, "HEALTHCHECK"), "health is Compose's business"
    installs = [s for s in steps_of(dockerfile, "RUN") if "pip install" in s]
    assert all("-c constraints.txt" in s or "--no-deps" in s for s in installs)


def test_both_images_are_made_by_the_same_steps() -> None:
    words = ("FROM", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD")
    cpu, gpu = (steps_of(dockerfile, *words) for dockerfile in DOCKERFILES)
    assert cpu == gpu


def test_the_package_that_an_image_installs_is_whole(tmp_path: Path) -> None:
    """Build what the builder stage installs from what it copies, and nothing else."""
    for step in steps_of(DOCKERFILES[0], "COPY")[:-2]:  # the last stage's are two
        for source in step.split()[1:-1]:
            path, there = ROOT / source, tmp_path / "build" / source
            there.parent.mkdir(exist_ok=True)
            if path.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, there, ignore=ignore)
            else:
                shutil.copy(path, there)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    build = tmp_path / "build"
    tool("pip", "wheel", *options, "--wheel-dir", tmp_path / "wheels", build)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("fire_core", "tasks", "flows", "cli", "dashboard", "deployments"):
        files = (p for p in (ROOT / package).rglob("*") if p.is_file())
        wanted = {
            str(p.relative_to(ROOT))
            for p in files
            if "__pycache__" not in p.parts
            and not {"slurm", "kubernetes"} & set(p.parts)  # for a checkout
            and p.suffix != ".sh"
        }
        assert wanted <= names, sorted(wanted - names)
