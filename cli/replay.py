"""`fire replay`: sets of pre-training frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.options import AsJson

app = typer.Typer(no_args_is_help=True)


@app.callback()
def replay() -> None:
    """Make sets of pre-training frames ready."""


@app.command()
def index(
    frames: Annotated[
        Path,
        typer.Argument(help="extxyz with energies and forces."),
    ],
    out: Annotated[
        Path | None, typer.Argument(help="Index; left out: FRAMES.lmdb beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Index a file of frames, so that a training reads only those that it draws.

    A campaign takes the index as `replay.source`. A large extxyz file is indexed by
    itself when it is first used; this does it beforehand, where it can be shared.
    """
    from fire_core.structures.frame_index import build_index
    from fire_core.training.sources import stream_frames

    target = out or frames.with_suffix(".lmdb")
    found = build_index(stream_frames(frames), target, theory=frames.name)
    n_atoms, n_bytes = int(found.n_atoms.sum()), target.stat().st_size
    if as_json:
        facts = {"path": str(target), "n_frames": len(found), "n_atoms": n_atoms}
        more = {"elements": sorted(found.elements), "bytes": n_bytes}
        typer.echo(json.dumps(facts | more))
        return
    Console(highlight=False).print(
        f"{target}: {len(found)} frames, {n_atoms} atoms, "
        f"{n_bytes / 2**20:.0f} MiB, {', '.join(sorted(found.elements))}\n"
        f"Use it: fine_tune: {{replay: {{source: {target}}}}}",
        soft_wrap=True,
    )
