"""Command lines of child processes that run this installation's own modules.

Python puts the working folder, or a script's, first on the path of its modules. A
user's folder may well hold a `tasks.py` or a `config.py`, which a child would import in
place of ours: `-P` (or `SAFE_PATH` in the environment, which grandchildren inherit)
leaves that folder out.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

SAFE_PATH: Final = "PYTHONSAFEPATH"
"""Environment variable that does for every Python below what `-P` does for one."""


def python_command(
    module: str,
    *arguments: str,
    quiet: bool = False,
    interpreter: str | Path | None = None,
) -> list[str]:
    """Return the command line that runs a module of this installation.

    Parameters
    ----------
    module
        Dotted name, run as `python -m` does.
    arguments
        Of the module.
    quiet
        Whether the child keeps its warnings to itself.
    interpreter
        Python of another environment that FIRE runs in too; None: this one's.
    """
    silence = ["-W", "ignore"] if quiet else []
    python = sys.executable if interpreter is None else str(interpreter)
    return [python, "-P", *silence, "-m", module, *arguments]
