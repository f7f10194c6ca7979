"""`fire system`: list crystals and interfaces, show and build starting cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.options import AsJson
from fire_core.config.interfaces import INTERFACES, expand_system
from fire_core.config.load import load_campaign
from fire_core.config.system import FileSystem, InterfaceSystem
from fire_core.errors import ConfigError
from fire_core.structures.crystal_data import FAMILIES, find_crystal, known_crystals

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.structures.interfaces import Interface, Side
    from fire_core.structures.matching import Match

app = typer.Typer(no_args_is_help=True)

DENSITY = 1.66053907
"""g/cm³ in an atomic mass unit per Å³."""
SHOWN = 10
"""Matches and terminations in a table."""

System = Annotated[
    str, typer.Argument(help="Campaign file, YAML, or the name of an interface.")
]


@app.command("list")
def list_crystals(
    *,
    interfaces: Annotated[
        bool, typer.Option("--interfaces", help="List the named interfaces instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the built-in crystals with their sources, or the named interfaces."""
    from fire_core.structures.crystals import build_crystal

    if interfaces:
        if as_json:
            found = {name: dict(given) for name, given in INTERFACES.items()}
            typer.echo(json.dumps(found))
        else:
            Console().print(_interface_table())
        return
    rows = []
    for name in known_crystals():
        known = find_crystal(name)
        if known is None:
            continue
        atoms = build_crystal(name)
        source = known.source
        if name in FAMILIES:
            source = f"x: {FAMILIES[name].meaning}; {source}"
        rows.append(
            {
                "name": name,
                "formula": atoms.symbols.formula.reduce()[0].format("hill"),
                "spacegroup": _spacegroup(known.spacegroup),
                "density_g_per_cm3": _density(atoms),
                "source": source,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "formula", "space group", "g/cm³", "source")
    for row in rows:
        density = f"{row['density_g_per_cm3']:.2f}"
        shown = (row["name"], row["formula"], row["spacegroup"], density)
        table.add_row(*map(str, shown), escape(str(row["source"])))
    Console().print(table)


@app.command()
def build(
    file: System,
    output: Annotated[Path, typer.Argument(help="Any format that ASE writes.")],
) -> None:
    """Build the starting structures of a campaign and write them to a file."""
    from ase.io import write

    from fire_core.structures.interfaces import build_system

    system, base = _find(file)
    frames = build_system(system, base)
    write(output, frames)
    for atoms in frames:
        lengths = " × ".join(f"{x:.2f}" for x in atoms.cell.lengths())
        typer.echo(f"{atoms.get_chemical_formula()}: {len(atoms)} atoms, {lengths} Å")


@app.command()
def show(
    file: System,
    png: Annotated[
        Path | None, typer.Option("--png", help="Write a picture from two sides.")
    ] = None,
) -> None:
    """Show how an interface is built: matches, terminations, polarity, a picture."""
    from fire_core.structures.interfaces import build_system, examine_interface

    system, base = _find(file)
    console = Console()
    if isinstance(system, FileSystem):
        for atoms in build_system(system, base):
            console.print(_describe(atoms), highlight=False)
            _draw(png, atoms, file, ("", ""))
        return
    found = examine_interface(system)
    for place, side in (("bottom", found.bottom), ("top", found.top)):
        _show_side(console, place, side)
    console.print(_match_table(found))
    if found.match.is_turned:
        console.print("the top slab is turned over: its bottom plane is uppermost")
    console.print(_describe(found.atoms), highlight=False)
    labels = (_plane(found.bottom), _plane(found.top))
    _draw(png, found.atoms, " | ".join(labels), labels)


def _find(name: str) -> tuple[InterfaceSystem | FileSystem, Path]:
    if name in INTERFACES:
        return InterfaceSystem.model_validate(expand_system({"preset": name})), Path()
    path = Path(name)
    if not path.is_file():
        msg = (
            f"{name} is neither a campaign file nor an interface: expected a path, or "
            f"one of {', '.join(INTERFACES)}"
        )
        raise ConfigError(msg)
    return load_campaign(path).system, path.parent


def _interface_table() -> Table:
    table = Table("name", "bottom", "top", "largest strain")
    for name in INTERFACES:
        system = InterfaceSystem.model_validate(expand_system({"preset": name}))
        sides = [
            f"{side.crystal}({' '.join(map(str, side.miller))})"
            + ("" if side.x is None else f", x = {side.x:g}")
            for side in (system.bottom, system.top)
        ]
        table.add_row(name, *sides, f"{100 * system.max_strain:g} %")
    return table


def _show_side(console: Console, place: str, side: Side) -> None:
    height = float(side.slab.positions[:, 2].max() - side.slab.positions[:, 2].min())
    console.print(
        f"[bold]{place}[/bold] {_plane(side)}: {side.slab.get_chemical_formula()} per "
        f"surface cell, {height:.1f} Å thick; {escape(side.bulk.source)}",
        highlight=False,
    )
    ordering = side.bulk.ordering
    if ordering is not None:
        console.print(
            f"  ordered with seed {side.config.order.seed} in {ordering.n_ordered} "
            f"atoms, electrostatic energy {ordering.energy:.1f} eV",
            highlight=False,
        )
        for note in ordering.notes:
            console.print(f"  {escape(note)}", highlight=False)
    if side.polarity.is_polar:
        console.print(
            f"  [yellow]polar (Tasker type 3): its ions make {side.polarity.step:+.0f} "
            "V along the normal before they relax; other planes or terminations may "
            "be neutral[/yellow]",
            highlight=False,
        )
    table = Table(
        "", "cut", "top plane", "bottom plane", "gap, Å", "bonds", "Tasker", "V"
    )
    for number, cut in enumerate(side.terminations[:SHOWN]):
        table.add_row(
            "→" if number == side.config.termination else "",
            str(number),
            cut.below,
            cut.above,
            f"{cut.gap:.2f}",
            str(cut.bonds),
            str(cut.polarity.tasker or "metal"),
            f"{cut.polarity.step:+.0f}" if cut.polarity.is_polar else "0",
        )
    if len(side.terminations) > SHOWN:
        table.caption = f"{len(side.terminations)} in all"
    console.print(table)


def _match_table(found: Interface) -> Table:
    table = Table("", "match", "atoms", "area, Å²", "width, Å", "strain, %", "angle, °")
    taken = found.matches.index(found.match)
    for number, match in enumerate(found.matches):
        if number >= SHOWN and number != taken:
            continue
        table.add_row("→" if number == taken else "", str(number), *_numbers(match))
    if len(found.matches) > SHOWN:
        table.caption = f"{len(found.matches)} within the limits"
    return table


def _numbers(match: Match) -> tuple[str, ...]:
    return (
        str(match.n_atoms),
        f"{match.area:.1f}",
        f"{match.width:.1f}",
        f"{100 * match.strain:.2f}",
        f"{match.angle:+.2f}",
    )


def _plane(side: Side) -> str:
    name = Path(side.config.crystal).name
    extra = "" if side.config.x is None else f" x={side.config.x:g}"
    return f"{name}{extra} ({' '.join(map(str, side.config.miller))})"


def _describe(atoms: Atoms) -> str:
    lengths = " × ".join(f"{x:.2f}" for x in atoms.cell.lengths())
    return (
        f"{atoms.get_chemical_formula()}: {len(atoms)} atoms, {lengths} Å, "
        f"{_density(atoms):.2f} g/cm³"
    )


def _density(atoms: Atoms) -> float:
    return float(atoms.get_masses().sum() / atoms.get_volume() * DENSITY)


def _spacegroup(number: int) -> str:
    from ase.spacegroup import Spacegroup

    return f"{Spacegroup(number).symbol.replace(' ', '')} ({number})"


def _draw(png: Path | None, atoms: Atoms, title: str, labels: tuple[str, str]) -> None:
    if png is None:
        return
    from fire_core.report.pictures import draw_structure

    draw_structure(atoms, png, title=f"{title}, {len(atoms)} atoms", labels=labels)
    typer.echo(f"wrote {png}")
