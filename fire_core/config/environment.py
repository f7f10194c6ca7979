"""The environment, read here alone: where a service keeps its things.

A machine of a pool is told once where database, blobs and reports are, so that no
campaign file has to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DATABASE: Final = "FIRE_DB"
BLOBS: Final = "FIRE_BLOBS"
RESULTS: Final = "FIRE_RESULTS"
GPUS: Final = "FIRE_GPUS"
DFT_LICENCES: Final = "FIRE_DFT_LICENCES"
NOTIFY: Final = "FIRE_NOTIFY_URL"
DASHBOARD_AUTH: Final = "FIRE_DASHBOARD_AUTH"
DASHBOARD_PEOPLE: Final = "FIRE_DASHBOARD_PEOPLE"
DASHBOARD_PROXY: Final = "FIRE_DASHBOARD_PROXY"
DASHBOARD_TRUSTED: Final = "FIRE_DASHBOARD_TRUSTED"
PSEUDOPOTENTIALS: Final = "FIRE_PSEUDOPOTENTIALS"
MODELS: Final = "FIRE_MODELS"
DATA_HOME: Final = "XDG_DATA_HOME"  # of the XDG base directory specification
CP2K_DATA: Final = "CP2K_DATA_DIR"  # CP2K's own


def default_database() -> str:
    """Return the URL of the store."""
    return os.environ.get(DATABASE) or "sqlite:///.fire/fire.db"


def default_blobs() -> str:
    """Return the folder of the blobs."""
    return os.environ.get(BLOBS) or ".fire/blobs"


def results_folder(name: str) -> str:
    """Return the folder of a campaign's report."""
    return os.path.join(os.environ.get(RESULTS) or "results", name)  # noqa: PTH118


def default_models_folder() -> Path:
    """Return the folder of models and environments that were installed."""
    told = os.environ.get(MODELS)
    if told:
        return Path(told).expanduser().resolve()
    data = os.environ.get(DATA_HOME) or Path("~/.local/share").expanduser()
    return Path(data) / "fire" / "models"


def gpu_count() -> int | None:
    """Return how many GPUs the service has; None where nobody said."""
    return _number(GPUS)


def dft_licences() -> int | None:
    """Return how many labelling processes may run at once; None: no limit."""
    return _number(DFT_LICENCES)


def notify_url() -> str | None:
    """Return the web hook that hears of failed labels; None where there is none."""
    return os.environ.get(NOTIFY) or None


def program_command(name: str, default: str) -> str:
    """Return the command line of an electronic-structure code.

    `name` is an environment variable, such as FIRE_CP2K; `{cores}` in it is replaced.
    """
    return os.environ.get(name) or default


def pseudopotential_folder() -> str | None:
    """Return the folder of this machine's pseudopotentials; None: nobody said."""
    return os.environ.get(PSEUDOPOTENTIALS) or None


def cp2k_data_folder() -> str:
    """Return the folder of CP2K's basis sets and pseudopotentials."""
    return os.environ.get(CP2K_DATA) or "/usr/share/cp2k"


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    return int(text) if text.isdigit() else None
