"""Options that the commands of single properties share, and requests made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    str | None, typer.Option("--name", help="What to call it; left out: made up.")
]
Threads = Annotated[int, typer.Option(help="Threads of the model; 0: all cores.")]
Results = Annotated[Path | None, typer.Option(help="Folder of figures and numbers.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every command asks for beside the measurement itself."""

    name: str
    system: dict[str, Any]
    model: str
    threads: int
    db: str
    blobs: str
    results: Path | None


def make_request(asked: Asked, measure: dict[str, Any]) -> PropertyRequest:
    """Return the request of a command, checked as a file's would be."""
    raw = {
        "name": asked.name,
        "threads": asked.threads,
        "system": asked.system,
        "backbone": {"name": asked.model},
        "measure": measure,
        "store": {"url": asked.db, "blobs": asked.blobs},
    }
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
