"""`fire theory`: theory levels by name, their differences, their convergence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.theory_labels import label_once
from fire_core.config.dft import NOT_IN_FINGERPRINT
from fire_core.config.presets import PRESETS, expand_theory
from fire_core.config.theory import TheoryConfig
from fire_core.errors import ConfigError
from fire_core.labelling.codes.pseudopotentials import name_potentials
from fire_core.labelling.converge import (
    ENERGY_MEV,
    FORCE_MEV,
    STRESS_GPA,
    Step,
    coarsest_enough,
    judge_scan,
    scan_theory,
)
from fire_core.labelling.isolated import atom_theory, isolated_atoms
from fire_core.labelling.run import check_ready, known_elements
from fire_core.labelling.theory import theory_from_config
from fire_core.progress import tracked
from fire_core.report.convergence import draw_convergence
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from ase import Atoms


CONVERGENCE: Final = (
    "setting",
    "value",
    "ΔE, meV/atom",
    "max ΔF, meV/Å",
    "max Δσ, GPa",
    "enough for",
    "s",
)
app = typer.Typer(no_args_is_help=True)
Which = Annotated[
    str, typer.Argument(help="A preset (`fire theory list`), or a campaign's file.")
]


@app.command("list")
def list_presets(as_json: AsJson = False) -> None:
    """List the named theory levels."""
    rows = []
    for name, theory in PRESETS.items():
        level = theory_from_config(theory)
        rows.append(
            {
                "name": name,
                "code": f"{level.code} {level.version}",
                "functional": theory.functional,
                "dispersion": theory.dispersion,
                "fingerprint": level.fingerprint,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "code", "functional", "dispersion", "fingerprint")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


@app.command()
def show(which: Which, as_json: AsJson = False) -> None:
    """Print every setting of a theory level, and its fingerprint."""
    theory = _find(which)
    level = theory_from_config(theory)
    settings = theory.model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps({"fingerprint": level.fingerprint, "theory": settings}))
        return
    table = Table("setting", "value", "changes a label")
    for key, value in settings.items():
        fixed = key in NOT_IN_FINGERPRINT - {"kind", "release"}
        table.add_row(key, json.dumps(value), "no" if fixed else "yes")
    Console().print(table)
    typer.echo(f"fingerprint {level.fingerprint}")


@app.command()
def diff(first: Which, second: Which) -> None:
    """Print the settings in which two theory levels differ."""
    theories = [_find(first), _find(second)]
    one, other = (theory.model_dump(mode="json") for theory in theories)
    table = Table("setting", first, second)
    for key in [*one, *(key for key in other if key not in one)]:
        values = one.get(key), other.get(key)
        if values[0] != values[1]:
            table.add_row(key, *(json.dumps(value) for value in values))
    prints = [theory_from_config(theory).fingerprint for theory in theories]
    if table.row_count:
        Console().print(table)
    same = prints[0] == prints[1]
    typer.echo("labels of one are labels of the other" if same else "labels differ")


@app.command()
def pseudopotentials(
    folder: Annotated[Path, typer.Argument(help="UPF, psp8 or GTH files.")],
) -> None:
    """Print the files of a folder as a theory names them, with their sha256."""
    named = name_potentials(folder)
    typer.echo(yaml.safe_dump({"pseudopotentials": named}, width=200), nl=False)


@app.command()
def atoms(
    which: Which,
    symbols: Annotated[list[str], typer.Argument(help="Such as Li F Cl.")],
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Compute the energies of isolated atoms, each once; the store keeps them.

    Campaigns of the theory level with `references.method: isolated_atoms` take them
    from there.
    """
    theory = _find(which)
    unknown = sorted(set(symbols) - known_elements(theory))
    if unknown:
        msg = f"{which} does not label {', '.join(unknown)}"
        raise ConfigError(msg)
    check_ready(theory)
    level = atom_theory(theory)
    table = Table("atom", "energy, eV", "s")
    with Store.open(db, blobs) as store:
        found = isolated_atoms(symbols)
        for symbol, atom in tracked(found.items(), "Atoms", len(found)):
            label, seconds = label_once(store, level, atom, source="isolated atom")
            table.add_row(symbol, f"{label.energy:.6f}", seconds)
    Console().print(table)
    typer.echo(f"theory of the atoms: {theory_from_config(level).fingerprint}")


@app.command()
def converge(
    which: Which,
    structure: Annotated[Path, typer.Argument(help="Any file that ASE reads.")],
    scan: Annotated[
        list[str], typer.Option(help="SETTING=VALUE,VALUE,…; may be repeated.")
    ],
    figure: Annotated[Path, typer.Option(help="Picture.")] = Path("convergence.png"),
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Show which settings reach 1 meV/atom, 5 meV/Å and 0.1 GPa on a structure.

    Every label goes into the store, and one that is there is not computed again.
    """
    theory = _find(which)
    if not theory.scanned:
        msg = f"{which} has no setting whose convergence can be tested"
        raise ConfigError(msg)
    check_ready(theory)
    atoms = _read_structure(structure)
    asked = dict(_parse_scan(text) for text in scan)
    scans = {name: scan_theory(theory, name, values) for name, values in asked.items()}
    table = Table(*CONVERGENCE)
    results = []
    with Store.open(db, blobs) as store:
        for name, theories in scans.items():
            labels, seconds = {}, {}
            for value, changed in tracked(theories.items(), name, len(theories)):
                labels[value], seconds[value] = label_once(
                    store, changed, atoms, source="fire theory converge"
                )
            steps = judge_scan(name, labels)
            results.append(steps)
            for step in steps:
                cells = _row(step, is_reference=step is steps[-1])
                table.add_row(name, f"{step.value:g}", *cells, seconds[step.value])
    Console().print(table)
    for steps in results:
        typer.echo(_verdict(steps))
    draw_convergence(results, (ENERGY_MEV, FORCE_MEV, STRESS_GPA), figure)
    typer.echo(f"picture: {figure}")


def _row(step: Step, *, is_reference: bool) -> tuple[str, ...]:
    if is_reference:
        return "reference", "", "", ""
    stress = "" if step.stress_gpa is None else f"{step.stress_gpa:.3f}"
    enough = "energy, forces" if step.fails_by_stress_alone else "nothing"
    return (
        f"{step.energy_mev:.3f}",
        f"{step.force_mev:.2f}",
        stress,
        "all" if step.is_enough else enough,
    )


def _verdict(steps: list[Step]) -> str:
    name = steps[0].setting
    if found := coarsest_enough(steps):
        return f"{name} = {found.value:g} is enough"
    if steps[-2].fails_by_stress_alone:
        return f"{name}: no value is enough for the stress; scan finer ones"
    return f"{name}: no value is enough; scan finer ones"


def _find(which: str) -> TheoryConfig:
    """Return a preset, or the theory of a campaign's file or of a file of its own."""
    path = Path(which)
    if not path.is_file():
        raw: Any = expand_theory(which)
    else:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        raw = expand_theory(
            read.get("theory", read) if isinstance(read, dict) else read
        )
    try:
        found: TheoryConfig = TypeAdapter(TheoryConfig).validate_python(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
        )
        msg = f"{which} holds no theory level: {problems}"
        raise ConfigError(msg) from error
    return found


def _read_structure(path: Path) -> Atoms:
    from ase.io import read

    if not path.is_file():
        msg = f"there is no structure file {path}"
        raise ConfigError(msg)
    atoms: Atoms = read(path)
    atoms.calc = None
    return atoms


def _parse_scan(text: str) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    try:
        return name.strip(), [float(value) for value in values.split(",")]
    except ValueError as error:
        msg = f"expected a scan such as cutoff=300,400,500, got {text!r}"
        raise ConfigError(msg) from error
