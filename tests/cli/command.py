"""Run the console command in this process, as its entry point does.

An interpreter takes two seconds to import what a command needs; where no process is
tested, none is started.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A command that has ended, as `subprocess.CompletedProcess` says it."""

    returncode: int
    stdout: str
    stderr: str


def fire(folder: Path, *arguments: str) -> Done:
    """Run `fire` in a folder, with nothing of this machine's environment."""
    environment = {"PATH": "", "HOME": str(folder), "COLUMNS": "200"}
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["fire", *arguments]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        else:
            code = 0
    return Done(code, out.getvalue(), err.getvalue())
