"""`fire system`: list crystals, build the starting cell of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fire_core.config.load import load_campaign
from fire_core.structures.crystals import CRYSTALS, build_crystal
from fire_core.structures.interfaces import build_system

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_crystals() -> None:
    """List the built-in crystals with their sources."""
    table = Table("name", "cell", "source")
    for name, crystal in CRYSTALS.items():
        formula = build_crystal(name).get_chemical_formula()
        table.add_row(name, formula, crystal.source)
    Console().print(table)


@app.command()
def build(
    file: Annotated[Path, typer.Argument(help="Campaign file, YAML.")],
    output: Annotated[Path, typer.Argument(help="Any format that ASE writes.")],
) -> None:
    """Build the starting structures of a campaign and write them to a file."""
    config = load_campaign(file)
    frames = build_system(config.system, file.parent)
    from ase.io import write

    write(output, frames)
    for atoms in frames:
        lengths = " × ".join(f"{x:.2f}" for x in atoms.cell.lengths())
        typer.echo(f"{atoms.get_chemical_formula()}: {len(atoms)} atoms, {lengths} Å")
