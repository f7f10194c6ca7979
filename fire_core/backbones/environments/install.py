"""Make the environment of a family of models from its pinned requirements."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.environments.folders import (
    EnvironmentRecord,
    environment_folder,
    home_prefix,
    interpreter_in,
    read_record,
    write_record,
)
from fire_core.backbones.environments.packages import PACKAGES, Package, requirements
from fire_core.children import python_command
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARED: Final = "fire.pth"
"""File of an environment that adds FIRE's packages behind its own."""
TAIL: Final = 1500  # characters of pip's output in a message


def install_environment(
    family: str, say: Callable[[str], None] = lambda _: None, *, again: bool = False
) -> Path:
    """Make a family's environment unless it is there; return its folder.

    It is made aside and moved to its place when its package can be imported, so a
    process that is killed leaves none behind, and one that is used is never half new.

    Parameters
    ----------
    family
        One of `PACKAGES`.
    say
        Called with what is being done.
    again
        Make it anew although it is there.

    Raises
    ------
    BackboneError
        There is no such family, or its packages cannot be installed or imported.
    """
    package = PACKAGES.get(family)
    if package is None:
        msg = f"no environment for {family!r}: expected one of {', '.join(PACKAGES)}"
        raise BackboneError(msg)
    folder = environment_folder(family)
    record = EnvironmentRecord(family, requirements(family), home_prefix())
    if not again and read_record(folder) == record:
        say(f"{family} is installed in {folder}")
        return folder
    aside = folder.with_name(f".{family}-{uuid.uuid4().hex[:8]}")
    try:
        _make(package, record, aside, say)
        _replace(folder, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    say(f"{family} is installed in {folder}")
    return folder


def _make(
    package: Package,
    record: EnvironmentRecord,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    pins = record.requirements
    say(f"making an environment with {pins[0]} and {len(pins) - 1} other packages")
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = python_command("venv", "--without-pip", str(folder))
    _run("venv", command, package)
    python = str(interpreter_in(folder))
    _share_fire(folder)
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text("\n".join(pins), encoding="utf-8")
        pip = ("pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check")
        _run("pip", [python, "-P", "-m", *pip, "-r", str(wanted)], package)
    for name in package.removed:
        (_own_packages(folder) / name).unlink()
    probe = [python, "-P", "-W", "ignore", "-c", f"import {package.module}"]
    _run(f"import {package.module}", probe, package)
    write_record(folder, record)


def _share_fire(folder: Path) -> None:
    """Let an environment see FIRE and its packages, behind those of its own.

    `site` runs a line of a .pth file that begins with `import`; `addsitedir` also
    follows the .pth files of an editable FIRE.
    """
    import fire_core

    root = Path(fire_core.__file__).resolve().parents[1]
    home = dict.fromkeys(
        str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib")
    )
    lines = [str(root), *(f"import site; site.addsitedir({path!r})" for path in home)]
    text = "\n".join(dict.fromkeys(lines)) + "\n"
    (_own_packages(folder) / SHARED).write_text(text, encoding="utf-8")


def _own_packages(folder: Path) -> Path:
    """Return where the packages of an environment are."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [str(interpreter_in(folder)), "-I", "-c", ask]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def _run(what: str, command: Sequence[str], package: Package) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return
    tail = " ".join((done.stdout + done.stderr).split())[-TAIL:]
    msg = (
        f"the environment of {package.family} cannot be made: {what} ended with exit "
        f"status {done.returncode} ({tail}); see that this machine reaches a package "
        "index (PIP_INDEX_URL), or give a folder of wheels (PIP_FIND_LINKS), then "
        f"`fire backbone install {package.family}` again"
    )
    raise BackboneError(msg)


def _replace(folder: Path, aside: Path) -> None:
    """Move a finished environment to its place."""
    if folder.exists():
        old = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
        folder.rename(old)
        aside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        aside.rename(folder)
