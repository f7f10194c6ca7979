"""`fire config`: check a campaign file, print the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.options import AsJson
from fire_core.config.load import config_schema, load_campaign

app = typer.Typer(no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Campaign file, YAML.")],
    as_json: AsJson = False,
) -> None:
    """Explain what is wrong with a campaign file, where, and what was expected.

    The starting structures are built or read too, so that a missing file or
    overlapping atoms show before anything is started.
    """
    from fire_core.backbones.registry import backbone_interpreter, is_published
    from fire_core.structures.interfaces import build_system

    config = load_campaign(file)
    fetched = is_published(config.backbone.name)
    interpreter = backbone_interpreter(config.backbone.name)
    start = build_system(config.system, file.parent)
    explored = config.explore.replicas * config.explore.steps
    frames = config.rounds * explored // config.explore.save_every
    labels = config.perturb.n + config.rounds * config.select.n + config.evaluate.n
    if as_json:
        facts = {
            "name": config.name,
            "starts": [
                {"formula": a.get_chemical_formula(), "atoms": len(a)} for a in start
            ],
            "candidates": frames,
            "labels": labels,
            "theory": config.theory.kind,
            "interpreter": None if interpreter is None else str(interpreter),
        }
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print(f"[green]{file} is a valid campaign[/green]: {config.name}")
    sizes = ", ".join(f"{a.get_chemical_formula()} ({len(a)} atoms)" for a in start[:3])
    more = f" and {len(start) - 3} more" if len(start) > 3 else ""
    console.print(f"starts from {sizes}{more}", highlight=False)
    console.print(
        f"up to {frames} candidates and {labels} labels ({config.theory.kind})"
    )
    if interpreter is not None:
        console.print(f"{config.backbone.name} runs in {interpreter}", soft_wrap=True)
    if fetched:
        console.print(f"{config.backbone.name} is downloaded when it is first used")


@app.command()
def schema() -> None:
    """Print the JSON schema of a campaign file."""
    typer.echo(json.dumps(config_schema(), indent=2))
