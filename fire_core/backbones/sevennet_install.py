"""Bring SevenNet's published weights into the data folder.

They ship inside the wheel `sevenn` on the package index (MIT licence). The wheel is
fetched or given, checked by its hash, and opened as the zip file that it is: nothing of
it is installed, imported or run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fire_core.backbones.neutral import SUFFIX, pack_neutral
from fire_core.backbones.sevennet_checkpoint import (
    checkpoint_to_neutral,
    read_checkpoint,
)
from fire_core.children import python_command
from fire_core.config.environment import default_models_folder
from fire_core.errors import BackboneError
from fire_core.files import file_sha256

PACKAGE: Final = "sevenn==0.13.0"
WHEEL: Final = "sevenn-0.13.0-py3-none-any.whl"
WHEEL_SHA256: Final = "9378f7df2b75fe83274483a5f804790ae1023dd22ddeb6a48c1a03de97e22620"
LICENCE: Final = "sevenn-0.13.0.dist-info/licenses/LICENSE"
PAPER: Final = "Park et al., J. Chem. Theory Comput. 20 (2024) 4857"


@dataclass(frozen=True, slots=True)
class Published:
    """A published model.

    Attributes
    ----------
    checkpoint
        Its file in the wheel.
    sha256
        Of the neutral file that comes of it.
    mode
        Which level of theory of a model with several; None where it has one.
    paper
        Where it is described.
    """

    checkpoint: str
    sha256: str
    mode: str | None = None
    paper: str = PAPER


_FOLDER: Final = "sevenn/pretrained_potentials"
PUBLISHED: Final = {
    "sevennet-0": Published(
        f"{_FOLDER}/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        "252449d31386fd57ff2b580ba31a1820a696db37286db0376d2e8ef16f3f1fcf",
    ),
    "sevennet-l3i5": Published(
        f"{_FOLDER}/SevenNet_l3i5/checkpoint_l3i5.pth",
        "5134fb558b06cf24e9125e6f5b99f6669e80d013226183b670d05ef2ce53ae54",
    ),
    "sevennet-mf-0": Published(
        f"{_FOLDER}/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        "0be8fc6d84172f297b9e63863bac114e2ab4fa17d71e6388488e24a1f1096787",
        mode="PBE",
        paper="Kim et al., J. Am. Chem. Soc. 147 (2025) 1042",
    ),
}


def installed_path(name: str) -> Path:
    """Return where the weights of a published model are, or would be."""
    return default_models_folder() / f"{name}{SUFFIX}"


def find_installed(name: str) -> Path:
    """Return the file of an installed model.

    Raises
    ------
    BackboneError
        It is not installed.
    """
    path = installed_path(name)
    if not path.is_file():
        msg = (
            f"the weights of {name} are not on this machine ({path}); bring them with "
            f"fire backbone install {name}"
        )
        raise BackboneError(msg)
    return path


def install_sevennet(name: str, *, wheel: Path | None = None) -> Path:
    """Write the weights of a published SevenNet to the data folder; return the file.

    Parameters
    ----------
    name
        Of `PUBLISHED`.
    wheel
        The wheel, where it is on this machine already; None: fetched by pip.

    Raises
    ------
    BackboneError
        There is no such model, or the wheel cannot be had or is another one.
    """
    if name not in PUBLISHED:
        msg = f"unknown model {name!r}: expected one of {', '.join(PUBLISHED)}"
        raise BackboneError(msg)
    with tempfile.TemporaryDirectory() as folder:
        checked = _verified(_fetch(Path(folder)) if wheel is None else wheel)
        content = _convert(name, checked)
    path = installed_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).chmod(0o644)  # a temporary file is its owner's alone
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def _fetch(folder: Path) -> Path:
    command = python_command("pip", "download", "--no-deps", "--quiet")
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--dest", str(folder), PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    path = folder / WHEEL
    if done.returncode != 0 or not path.is_file():
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        msg = (
            f"{PACKAGE} cannot be fetched from the package index ({reason}); on a "
            f"machine that reaches one run pip download --no-deps {PACKAGE}, copy "
            f"{WHEEL} here and give its path with --wheel"
        )
        raise BackboneError(msg)
    return path


def _verified(wheel: Path) -> Path:
    found = file_sha256(wheel) if wheel.is_file() else "no file"
    if found != WHEEL_SHA256:
        msg = (
            f"expected the wheel {WHEEL} with sha256 {WHEEL_SHA256}, got {wheel} "
            f"with {found}; fetch it with pip download --no-deps {PACKAGE}"
        )
        raise BackboneError(msg)
    return wheel


def _convert(name: str, wheel: Path) -> bytes:
    published = PUBLISHED[name]
    with zipfile.ZipFile(wheel) as archive:
        checkpoint = read_checkpoint(archive.read(published.checkpoint))
        licence = archive.read(LICENCE).decode()
    notice = {
        "authors": "Y. Park, J. Kim, S. Hwang, S. Han and the SevenNet developers",
        "licence": licence,
        "paper": published.paper,
        "source": f"{PACKAGE}, {published.checkpoint}",
    }
    model = checkpoint_to_neutral(checkpoint, mode=published.mode, notice=notice)
    return pack_neutral(model)
