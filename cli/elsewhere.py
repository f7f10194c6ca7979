"""Run the same command again in the environment of a model."""

from __future__ import annotations

import subprocess
import sys

from fire_core.children import python_command


def continue_elsewhere(*backbones: str) -> None:
    """Run this command by the Python of a backbone, and end with its exit status.

    Returns where every backbone is computed by this process.

    Raises
    ------
    BackboneError
        A backbone needs an environment that was not made yet.
    """
    from fire_core.backbones.registry import backbone_interpreter

    for name in backbones:
        interpreter = backbone_interpreter(name)
        if interpreter is not None:
            command = python_command(
                "cli.main", *sys.argv[1:], quiet=True, interpreter=interpreter
            )
            sys.exit(subprocess.call(command))
