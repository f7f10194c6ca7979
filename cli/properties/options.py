"""Options that the commands of single properties share, and requests made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from fire_core.errors import ConfigError
from fire_core.properties.load import parse_property

if TYPE_CHECKING:
    from fire_core.properties.request import PropertyRequest

Crystal = Annotated[
    str, typer.Argument(help="A crystal (`fire system list`) or a structure file.")
]
Model = Annotated[
    str, typer.Option("--model", help="Foundation model, file, or CAMPAIGN/MODEL.")
]
RequestName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the measurement; generated if left out."),
]
Threads = Annotated[int, typer.Option(help="Threads of the model; 0: all cores.")]
Results = Annotated[Path | None, typer.Option(help="Folder of figures and numbers.")]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Another setting, such as friction=0.0005; may be repeated."
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every command asks for beside the measurement itself.

    `system` and `model` are None where the measurement is of none, or by default.
    """

    name: str
    system: dict[str, Any] | None
    model: str | None
    threads: int
    db: str
    blobs: str
    results: Path | None
    seed: int = 0


def make_request(asked: Asked, measure: dict[str, Any]) -> PropertyRequest:
    """Return the request of a command, checked as a file's would be."""
    raw = {
        "name": asked.name,
        "seed": asked.seed,
        "threads": asked.threads,
        "measure": measure,
        "store": {"url": asked.db, "blobs": asked.blobs},
    }
    if asked.system is not None:
        raw["system"] = asked.system
    if asked.model is not None:
        raw["backbone"] = {"name": asked.model}
    if asked.results is not None:
        raw["results"] = str(asked.results)
    return parse_property(raw, origin="the command line", base=Path.cwd())


def crystal_or_file(name: str, repeat: tuple[int, int, int]) -> dict[str, Any]:
    """Return the system of a crystal's name or CIF, or of a structure file."""
    path = Path(name)
    if path.is_file() and path.suffix.lower() != ".cif":
        return {"kind": "file", "path": name, "index": "0"}
    return {"kind": "crystal", "crystal": name, "repeat": list(repeat)}


def plain_name(*words: str) -> str:
    """Return words as the name of a measurement: `licl-fire-mini-elasticity`."""
    text = "-".join(Path(word).stem if Path(word).suffix else word for word in words)
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)[:63]


def read_settings(items: list[str]) -> dict[str, Any]:
    """Return `a.b=value` items as nested mappings; values are read as YAML.

    Raises
    ------
    ConfigError
        An item has no `=`, or a key is both a value and a mapping.
    """
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        *parents, last = key.strip().split(".")
        if not equals or not last:
            msg = f"expected --set KEY=VALUE, such as friction=0.0005, got {item!r}"
            raise ConfigError(msg)
        place = settings
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                msg = f"--set {item}: {parent} was given a value before"
                raise ConfigError(msg)
        place[last] = yaml.safe_load(value)
    return settings
