"""Run an electronic-structure code as a program: effort, triage, remedy, restart.

A code is one `Program`, a record of how to call it and what it says; see
`labelling.codes.cp2k`. Units of labels: eV, eV/Å, eV/Å³.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fire_core.children import SAFE_PATH
from fire_core.config.environment import program_command
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.shelf import FARTHEST, RestartFiles
from fire_core.labelling.triage import find_cause, tail_of
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ase import Atoms

    from fire_core.config.dft import DftTheory
    from fire_core.records import Label

PROBE_S: Final = 60
REMEDY_ITERATIONS: Final = 4
MPI: Final = ("mpirun", "--bind-to", "none", "-np")
"""Of one machine; two labels at once would be bound to the same cores."""
WORTH_ANOTHER: Final = {FailureKind.NOT_CONVERGED, FailureKind.CRASHED}


@dataclass(frozen=True, slots=True)
class Resources:
    """What a label may use here; none of it can change the label.

    Attributes
    ----------
    cores
        MPI ranks of the code.
    shelf
        Folder of wave functions and densities to start from; None: start afresh.
    """

    cores: int = 1
    shelf: Path | None = None


@dataclass(frozen=True, slots=True)
class ScfSettings:
    """How hard an SCF is tried.

    Attributes
    ----------
    iterations
        SCF iterations at most.
    careful
        The remedy that the code's community uses for a density that oscillates.
    restart
        Whether the files of `Program.state` lie in the folder to start from.
    """

    iterations: int
    careful: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """An electronic-structure code.

    Attributes
    ----------
    name
        As a person writes it.
    variable, command
        Environment variable that holds the command line of one core, or with
        `{cores}` in it of any number; and what it is when unset.
    arguments
        Added to the command.
    probe, release
        Arguments that make it say its release (`probe`), and the pattern that finds
        it there and at the top of every output. No probe: the code tells its release
        only in a result, where `read` compares it.
    install
        How to come by it.
    write
        Writes the input files into a folder.
    read
        Returns the label from the folder and the output; raises LabellingError
        unless the output says that the SCF converged.
    causes
        Patterns of its output that tell why it failed, first match counts.
    state
        Names (globs) of the files that a restart needs.
    same_cell
        Whether a restart needs the very same cell.
    farthest
        Root mean square displacement beyond which a restart saves nothing, Å.
    elements
        What it can label.
    wrap
        Puts a command line under another program that looks after it.
    """

    name: str
    variable: str
    command: str
    arguments: tuple[str, ...]
    probe: tuple[str, ...] | None
    release: str
    install: str
    write: Callable[[Any, Atoms, Path, ScfSettings], None]
    read: Callable[[Any, Atoms, Path, str], Label]
    causes: tuple[tuple[FailureKind, str], ...]
    state: tuple[str, ...] = ()
    same_cell: bool = False
    farthest: float = FARTHEST
    elements: Callable[[Any], frozenset[str]] = field(default=lambda _: frozenset())
    wrap: Callable[[list[str]], list[str]] = list


def check_program(program: Program, theory: DftTheory) -> None:
    """Check that this machine has the code in the release that a theory names.

    Raises
    ------
    ConfigError
        It has not; the message says how to mend it.
    """
    command = _command(program, 1)
    if shutil.which(command[0]) is None:
        msg = (
            f"this machine has no {program.name} ({command[0]!r} is not on its PATH): "
            f"{program.install}, or set {program.variable} to its command line"
        )
        raise ConfigError(msg)
    if program.probe is None:
        return
    found = _release(tuple(command), program.probe, program.release)
    if found != theory.release:
        change = f", or theory.release to {found}, which is another theory"
        msg = (
            f"the theory asks for {program.name} {theory.release}, but {command[0]} is "
            f"{found or 'of a release that it does not tell'}: set {program.variable} "
            f"to another one{change if found else ''}"
        )
        raise ConfigError(msg)


@lru_cache(maxsize=8)
def _release(command: tuple[str, ...], probe: tuple[str, ...], pattern: str) -> str:
    with tempfile.TemporaryDirectory() as folder:  # pw.x leaves files when it stops
        done = subprocess.run(
            [*command, *probe],
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PROBE_S,
            check=False,
            env=_environment(list(command)),
        )
    match = re.search(pattern, done.stdout + done.stderr)
    return match.group(1) if match else ""


def compute(
    program: Program, theory: DftTheory, atoms: Atoms, folder: Path, machine: Resources
) -> Label:
    """Compute a label in a folder, with the remedy once where one is known.

    An SCF that did not converge is continued once from where it was, with smaller
    steps and more of them. A code that was killed or crashed is run once more.

    Raises
    ------
    LabellingError
        With the cause, its evidence and the end of the output.
    """
    shelf = RestartFiles(
        machine.shelf, program.state, program.same_cell, program.farthest
    )
    effort = ScfSettings(
        theory.max_iterations, restart=shelf.fetch(theory, atoms, folder)
    )
    for is_last in (False, True):
        program.write(theory, atoms, folder, effort)
        try:
            label = _run(program, theory, atoms, folder, machine.cores)
        except LabellingError as error:
            if is_last or error.kind not in WORTH_ANOTHER:
                raise
            unconverged = error.kind == FailureKind.NOT_CONVERGED
            goes_on = unconverged and shelf.has(folder)
            if not goes_on:
                shelf.clear(folder)
            effort = ScfSettings(
                REMEDY_ITERATIONS * theory.max_iterations,
                careful=unconverged,
                restart=goes_on,
            )
        else:
            shelf.keep(theory, atoms, folder)
            return label
    raise AssertionError


def _run(
    program: Program, theory: DftTheory, atoms: Atoms, folder: Path, cores: int
) -> Label:
    """Run the program once; return the label that its output holds."""
    command = [*_command(program, cores), *program.arguments]
    log = folder / "label.out"
    variables = _environment(command)
    status = _execute(program.wrap(command), folder, log, variables)
    output = log.read_text(encoding="utf-8", errors="replace")
    cause = find_cause(output, program.causes)
    if cause is None and status == 0:
        return program.read(theory, atoms, folder, output)
    kind, reason = cause or (FailureKind.CRASHED, _say_status(status))
    raise LabellingError(kind, f"{program.name}: {reason}", tail_of(output))


def _command(program: Program, cores: int) -> list[str]:
    """Return the command line; several cores by mpirun unless it says otherwise."""
    text = program_command(program.variable, program.command)
    if "{cores}" in text:
        return shlex.split(text.replace("{cores}", str(cores)))
    words = shlex.split(text)
    return words if cores == 1 else [*MPI, str(cores), *words]


def _execute(
    command: list[str], folder: Path, log: Path, variables: dict[str, str]
) -> int:
    """Run a command to its end; an exception on the way kills all that it started.

    Where util-linux is there, the command also dies with this process: its label is
    then somebody else's, who would compute it beside a ghost.
    """
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("wb") as out:
        child = subprocess.Popen(
            [*guard, *command],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            start_new_session=True,
        )
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _environment(command: list[str]) -> dict[str, str]:
    """Return a code's environment: one thread for each rank.

    Our mpirun counts the cores itself. Slurm would tell it of the tasks of its job,
    and a worker is one task, whatever the cores that it may use. A program that is
    itself a Python script finds the modules beside it.
    """
    hidden = "SLURM_" if tuple(command[: len(MPI)]) == MPI else "\0"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    kept.pop(SAFE_PATH, None)
    return kept | {"OMP_NUM_THREADS": "1"}


def _say_status(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name
    hint = "; the system kills so when memory runs out" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
