"""Where environments of models are, and whether one is ready to be used.

An environment is a folder `environments/FAMILY` of the data folder: a virtual
environment of FIRE's own Python, whose packages come before FIRE's. What it does not
have itself, FIRE and torch among it, is that of the FIRE which made it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fire_core.backbones.environments.packages import PACKAGES, Package, requirements
from fire_core.config.environment import MODELS, default_models_folder
from fire_core.errors import BackboneError

RECORD: Final = "environment.json"
"""Written last when an environment is made: without it there is none."""


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    """What an environment was made of.

    Attributes
    ----------
    family
        Family of models.
    requirements
        What was installed, each as `name==version`.
    prefix
        Environment of the FIRE that made it, whose packages it uses too.
    """

    family: str
    requirements: list[str]
    prefix: str


def environment_folder(family: str) -> Path:
    """Return the folder of a family's environment, whether it is there or not."""
    return default_models_folder() / "environments" / family


def interpreter_in(folder: Path) -> Path:
    """Return the Python of an environment."""
    if os.name == "nt":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def read_record(folder: Path) -> EnvironmentRecord | None:
    """Return what an environment was made of; None: there is no finished one."""
    try:
        facts = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return EnvironmentRecord(**facts)
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: EnvironmentRecord) -> None:
    """Say that an environment is finished."""
    text = json.dumps(asdict(record), indent=1)
    (folder / RECORD).write_text(text, encoding="utf-8")


def home_prefix() -> str:
    """Return FIRE's own environment, also where this process runs in a model's."""
    record = read_record(Path(sys.prefix))
    return sys.prefix if record is None else record.prefix


def is_importable(package: Package) -> bool:
    """Return whether a package can be imported in this process."""
    try:
        spec = find_spec(package.module)
    except ModuleNotFoundError:  # the parent of a module with a dot
        return False
    return spec is not None and spec.origin is not None  # any folder would be a spec


def find_interpreter(family: str) -> Path | None:
    """Return the Python that runs a family's models; None: this process's does.

    Raises
    ------
    BackboneError
        Its package is neither here nor in an environment that fits this FIRE.
    """
    package = PACKAGES.get(family)
    if package is None or is_importable(package):
        return None
    folder = environment_folder(family)
    record = read_record(folder)
    mend = f"`fire backbone install {family}`"
    if record is None:
        msg = (
            f"{family} needs the package {package.distribution}, which is not "
            f"installed here and has no environment in {folder.parent} ({MODELS} names "
            f"another folder): make it with {mend}"
        )
        raise BackboneError(msg)
    if record.requirements != requirements(family) or record.prefix != home_prefix():
        msg = (
            f"the environment of {family} in {folder} was made by another FIRE (that "
            f"in {record.prefix}): make it anew with {mend}"
        )
        raise BackboneError(msg)
    return interpreter_in(folder)
