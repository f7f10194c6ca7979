"""Ask a backbone of another environment what it is."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from fire_core.children import python_command
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from pathlib import Path


WORKER: Final = "fire_core.backbones.describe_worker"


@dataclass(frozen=True, slots=True)
class Description:
    """What a backbone says of itself.

    Attributes
    ----------
    name
        How it was asked for.
    elements
        Chemical symbols that it knows.
    cutoff
        Radius of its neighbourhoods, Å.
    sha256
        Hash of its weights.
    """

    name: str
    elements: frozenset[str]
    cutoff: float
    sha256: str


@cache
def describe_elsewhere(name: str, interpreter: Path) -> Description:
    """Load a backbone in its environment and return what it says of itself.

    Raises
    ------
    BackboneError
        It cannot be loaded there.
    """
    command = python_command(WORKER, name, quiet=True, interpreter=interpreter)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    try:
        facts = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        msg = (
            f"{name} cannot be loaded by {interpreter} (exit status "
            f"{done.returncode}): {done.stderr.strip()[-1000:]}"
        )
        raise BackboneError(msg) from error
    if "error" in facts:
        raise BackboneError(facts["error"])
    return Description(**facts | {"elements": frozenset(facts["elements"])})
