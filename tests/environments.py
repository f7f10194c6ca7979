"""Environments of models' packages, made once for a session of tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fire_core.backbones.environments.install import install_environment
from fire_core.errors import BackboneError


def models_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of this session, the same one for all its workers.

    FIRE_TEST_MODELS names one that outlives it.
    """
    told = os.environ.get("FIRE_TEST_MODELS")
    if told:
        return Path(told)
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "models"


def make_environment(family: str, folder: Path) -> Path:
    """Return the environment of a family; skips where no package index is reached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRE_MODELS", str(folder))
        try:
            return install_environment(family)
        except BackboneError as error:
            if "pip ended" not in str(error):
                raise
            pytest.skip(f"its package cannot be installed here: {str(error)[:300]}")
