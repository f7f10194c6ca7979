"""What a command sets up before it runs a flow in this process."""

from __future__ import annotations

import logging
import os

from fire_core.children import SAFE_PATH
from fire_core.errors import FireError

SERVER_TIMEOUT = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
NO_SERVER = "Timed out while attempting to connect to ephemeral Prefect"
PREFECT_DEFAULTS = {
    # With analytics a fresh temporary server fails on locks more often than not.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Its first start on two cores takes longer than Prefect's 20 s, and minutes on a
    # busy machine.
    SERVER_TIMEOUT: "600",
    # It starts its server and each run as `python -m`, which would import a user's
    # `tasks.py` from the working folder.
    SAFE_PATH: "1",
}
UNCOUNTED = "do not exist - skipping acquisition"


def set_prefect_defaults() -> None:
    """Set what a temporary server needs; call before Prefect is imported."""
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def explain_absent_server(error: RuntimeError) -> str | None:
    """Return what to do where Prefect's temporary server did not start; else None."""
    if NO_SERVER not in str(error):
        return None
    return (
        "Prefect's temporary server did not answer within "
        f"{os.environ.get(SERVER_TIMEOUT, '?')} s; run the command again when the "
        f"machine is less busy, raise {SERVER_TIMEOUT}, or use a running server "
        "(`fire serve`) by PREFECT_API_URL"
    )


def show_expected_errors_once() -> None:
    """Keep Prefect's traceback of an expected error off the console.

    The message itself ends the command; the traceback stays in the server's log. So
    does the warning that no licences are counted, which only `fire deploy` sets up.
    """

    def is_news(record: logging.LogRecord) -> bool:
        if UNCOUNTED in str(record.msg):
            return False
        return not (record.exc_info and isinstance(record.exc_info[1], FireError))

    for handler in logging.getLogger().handlers:  # Prefect writes to the root's
        handler.addFilter(is_news)
