"""`fire properties transport` and `trajectory`: diffusion by options alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.options import Settings, read_settings
from fire_core.config.environment import results_folder
from fire_core.config.load import validate_config
from fire_core.errors import ConfigError
from fire_core.properties.load import parse_property
from fire_core.properties.transport.settings import TransportAnalysis
from fire_core.storage.store import Store

Name = Annotated[
    str | None, typer.Option(help="Name of the measurement; generated if left out.")
]


def transport(  # noqa: PLR0913, PLR0917 - options of one command
    crystal: Annotated[
        str | None, typer.Option(help="Built-in crystal, or path of a CIF.")
    ] = None,
    structure: Annotated[
        Path | None, typer.Option(help="File of one structure in place of a crystal.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model, its file or CAMPAIGN/MODEL.")
    ] = "fire-mini",
    repeat: Annotated[
        tuple[int, int, int], typer.Option(help="Repeats of the crystal.")
    ] = (1, 1, 1),
    temperature: Annotated[
        list[float] | None, typer.Option(help="K; may be repeated.")
    ] = None,
    ps: Annotated[float | None, typer.Option(help="Length of each run, ps.")] = None,
    replicas: Annotated[
        int | None, typer.Option(help="Runs of each temperature.")
    ] = None,
    setting: Settings = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    name: Name = None,
    results: Annotated[Path | None, typer.Option(help="Folder of the figures.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Run dynamics at several temperatures: diffusion, conductivity, activation energy.

    A run that was interrupted goes on with the same command. Settings of the analysis
    are written as `--set analysis.mobile=Na`.
    """
    from cli.properties.running import measure

    measured = read_settings(setting or [])
    asked = {"temperatures": temperature, "ps": ps, "replicas": replicas}
    measured |= {key: value for key, value in asked.items() if value}
    raw: dict[str, Any] = {
        "name": name or _make_name("transport", crystal or structure),
        "seed": seed,
        "system": _system(crystal, structure, repeat),
        "backbone": {"name": model},
        "measure": {"kind": "transport", **measured},
        "store": {"url": db, "blobs": blobs},
    }
    if results is not None:
        raw["results"] = str(results)
    measure(parse_property(raw, origin="options", base=Path()), as_json=as_json)


def trajectory(  # noqa: PLR0913, PLR0917 - options of one command
    files: Annotated[list[Path], typer.Argument(help="Frames of one run each.")],
    temperature: Annotated[
        list[float], typer.Option(help="K; once for all files, or once for each.")
    ],
    timestep_fs: Annotated[
        list[float],
        typer.Option(help="Time between frames, fs; once for all, or once for each."),
    ],
    theory: Annotated[
        str, typer.Option(help="Theory level in words, or its fingerprint.")
    ] = "trajectory",
    setting: Settings = None,
    name: Name = None,
    results: Annotated[Path | None, typer.Option(help="Folder of the figures.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Analyse finished trajectories of others; files of one temperature are replicas.

    extxyz, XDATCAR, .traj, or whatever else ASE reads. Folded coordinates are unwrapped
    from frame to frame.
    """
    from cli.properties.running import show_row
    from fire_core.campaign.steps.properties import (
        TrajectoryFile,
        analyse_trajectories,
        write_property,
    )

    settings = validate_config(
        TransportAnalysis, read_settings(setting or []), "analysis"
    )
    given = [
        TrajectoryFile(path, kelvin, step)
        for path, kelvin, step in zip(
            files,
            _for_each(temperature, len(files), "--temperature"),
            _for_each(timestep_fs, len(files), "--timestep-fs"),
            strict=True,
        )
    ]
    name = name or _make_name("trajectory", *files)
    with Store.open(db, blobs) as store:
        key = analyse_trajectories(store, given, settings, name=name, theory=theory)
        row = store.properties.need(key)
    folder = results or Path(results_folder(name))
    write_property(row, folder)
    show_row(row, as_json=as_json)
    if not as_json:
        typer.echo(f"figures and numbers: {folder}")


def _system(
    crystal: str | None, structure: Path | None, repeat: tuple[int, int, int]
) -> dict[str, Any]:
    if (crystal is None) == (structure is None):
        msg = "expected either --crystal or --structure; `fire system list` names some"
        raise ConfigError(msg)
    if crystal is not None:
        return {"kind": "crystal", "crystal": crystal, "repeat": list(repeat)}
    return {"kind": "file", "path": str(structure)}


def _for_each(values: list[float], n: int, option: str) -> list[float]:
    if len(values) not in {1, n}:
        msg = f"expected {option} once or for each of {n} files, got {len(values)}"
        raise ConfigError(msg)
    return values * n if len(values) == 1 else values


def _make_name(kind: str, *what: object) -> str:
    """Return a name of the first thing, and of all of them if there are more."""
    stem = Path(str(what[0])).stem.lower()
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem).strip("-")
    if len(what) > 1:
        text = json.dumps([str(item) for item in what])
        plain += f"-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return f"{kind}-{plain}"[:63]
