"""Walk a backbone's paths on the pretend accelerator, in a process of its own.

``python -m fire_core.testing.device.run JSON`` prints one JSON object. The process is
its own because torch counts its devices once, before the first gradient.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fire_core.testing.device.backend import DEVICE, register
from fire_core.testing.device.pretend import Pretend

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Order:
    """What to walk.

    Attributes
    ----------
    loader
        `module:function` that returns the backbone on a device, or a name that
        `load_backbone` knows.
    frame
        A crystal, as extxyz.
    only
        Paths to walk.
    """

    loader: str
    frame: str
    only: tuple[str, ...]


def walk_paths(order: Order) -> dict[str, Any]:
    """Return for each path what went wrong, empty where nothing did, and the waits."""
    from ase.io import read

    from fire_core.testing.device.paths import Walk, paths_of
    from fire_core.testing.device.steps import count_waits

    atoms: Any = read(io.StringIO(order.frame), format="extxyz")
    loader = find_loader(order.loader)
    walk = Walk(loader, DEVICE, atoms)
    paths = paths_of(walk.on_cpu) | {"step": count_waits}
    found: dict[str, Any] = {}
    for name, path in paths.items():
        if name not in order.only:
            continue
        with Pretend() as watch:
            problem, begun = "", time.monotonic()
            try:
                waits = path(walk)
            except Exception as error:  # noqa: BLE001 - whatever a path meets is told
                problem, waits = _describe(error), None
        kept = watch.waits if waits is None else waits
        found[name] = {
            "problem": problem,
            "waits": kept.listed(),
            "seconds": time.monotonic() - begun,
        }
    return found


def find_loader(name: str) -> Any:
    """Return the function that loads a backbone on a device."""
    module, _, function = name.partition(":")
    if function and "." in module:
        return getattr(importlib.import_module(module), function)
    from fire_core.backbones.registry import load_backbone

    def load(device: str) -> Any:
        return load_backbone(name, device=device, threads=1)

    return load


def _describe(error: Exception) -> str:
    """Return what an error says, and where FIRE was."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f for f in frames if "fire_core" in f.filename and "testing" not in f.filename
    ]
    last = (ours or list(frames))[-1]
    place = f"fire_core{last.filename.rpartition('fire_core')[2]}:{last.lineno}"
    words = " ".join(str(error).split())
    return f"{type(error).__name__} at {place}: {words[:400]}"


def main(arguments: Sequence[str]) -> None:
    """Walk what the first argument asks for; print what was found."""
    warnings.simplefilter("ignore")
    order = Order(**json.loads(arguments[0]))
    register()
    sys.stdout.write(f"{json.dumps(walk_paths(order))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
