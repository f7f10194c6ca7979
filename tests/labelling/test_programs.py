"""CP2K and Quantum ESPRESSO, the real ones: derivatives, restarts, failures.

Without the programs these tests skip; `apt install cp2k quantum-espresso` brings them.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import psutil
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.config.dft import Cp2kTheory, DftTheory, EspressoTheory
from fire_core.errors import LabellingError
from fire_core.labelling.dft import program_of
from fire_core.labelling.run import run_label
from fire_core.records import FailureKind
from fire_core.testing.labellers import DftContract

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Case:
    """A coarse theory, a cell that it takes seconds for, and what breaks it."""

    theory: DftTheory
    atoms: Atoms
    broken: dict[str, object]


def pair() -> Atoms:
    """One LiCl in a box, stretched: CP2K's cost is that of neighbours, and of atoms."""
    return Atoms(
        "LiCl", positions=[[3.0, 3.0, 2.0], [3.2, 3.1, 4.2]], cell=[6.0] * 3, pbc=True
    )


def soft() -> Atoms:
    """AlP: no element of it needs many plane waves."""
    atoms = bulk("AlP", "zincblende", a=5.5)
    atoms.rattle(0.05, seed=1)
    return atoms


CASES = {
    "cp2k": Case(
        Cp2kTheory(k_spacing=9.0, cutoff=300.0, scf_tolerance=1e-7),
        pair(),
        {"potential": "GTH-NOBODY"},
    ),
    "espresso": Case(
        EspressoTheory(
            k_spacing=1.0, cutoff=50.0, density_cutoff=200.0, scf_tolerance=1e-10
        ),
        soft(),
        {"pseudopotentials": {"Al": "Al.upf sha256:00", "P": "P.upf sha256:00"}},
    ),
}


CHANGES: list[dict[str, object]] = [
    {"cutoff": 111.0}, {"k_spacing": 0.31}, {"dispersion": "D3(BJ)"},
    {"electronic_temperature": 100.0}, {"spin_polarised": True},
    {"scf_tolerance": 1e-5}, {"release": "1"}, {"initial_moments": {"Li": 1.0}},
]  # fmt: skip


class TestCp2k(DftContract):
    theory = CASES["cp2k"].theory
    changes: ClassVar = [*CHANGES, {"functional": "r2SCAN"}]
    install = "apt install cp2k"
    iterations = r"SCF run converged in +(\d+)"

    @staticmethod
    def cell() -> Atoms:
        return pair()


class TestEspresso(DftContract):
    # With 50 Ry, where the other tests are, stress and slope differ by 0.1 GPa.
    theory = EspressoTheory(
        k_spacing=1.0, cutoff=70.0, density_cutoff=280.0, scf_tolerance=1e-10
    )
    changes: ClassVar = CHANGES  # pw.x 6.7 has no other functional
    install = "apt install quantum-espresso"
    iterations = r"convergence has been achieved in +(\d+)"

    @staticmethod
    def cell() -> Atoms:
        return soft()


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = CASES[request.param]
    program = program_of(found.theory)
    if shutil.which(program.command) is None:
        pytest.skip(f"{program.name} is not here: {program.install}")
    return found


def test_dispersion_is_the_pair_term_of_its_authors_program(tmp_path: Path) -> None:
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not here: apt install quantum-espresso")
    coarse = EspressoTheory(k_spacing=3.0, cutoff=20.0, density_cutoff=80.0)
    dispersive = coarse.model_copy(update={"dispersion": "D3(BJ)"})
    plain, with_d3 = (
        run_label(theory, soft(), workdir=tmp_path).energy
        for theory in (coarse, dispersive)
    )
    # simple-dftd3, PBE-D3(BJ) without the three-body term, the same cell
    assert with_d3 - plain == pytest.approx(-0.60124, abs=1e-3)


def test_a_missing_potential_is_told(case: Case, tmp_path: Path) -> None:
    theory = type(case.theory).model_validate(case.theory.model_dump() | case.broken)
    with pytest.raises(LabellingError, match="missing_potential"):
        run_label(theory, case.atoms, workdir=tmp_path)


def programs(folder: Path) -> list[int]:
    """Return the processes of codes that run below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            name, cwd = process.name(), process.cwd()
        except psutil.Error:
            continue
        if name.startswith(("cp2k", "pw.x")) and cwd.startswith(str(folder)):
            found.append(process.pid)
    return found


def hold_back(command: str, folder: Path, times: int) -> Path:
    """Return a program of this name that halts the first `times`, then is the real one.

    However quick the real one is, there is something to be killed. Each run that
    halts tells its process in `run-N/pid`; it waits for a pipe, so it has no child.
    """
    real = shutil.which(command)
    folder.mkdir()
    os.mkfifo(folder / "never")
    shim = folder / command
    shim.write_text(
        f"#!/bin/sh\nfor n in $(seq {times}); do\n"
        f"  if mkdir {folder}/run-$n 2>/dev/null; then\n"
        f"    echo $$ > {folder}/run-$n/pid; read -r _ < {folder}/never\n"
        f'  fi\ndone\nexec {real} "$@"\n'
    )
    shim.chmod(0o755)
    return shim


def halted(folder: Path, run: int) -> int:
    """Wait for a run of a program that is held back; return its process."""
    told = folder / f"run-{run}" / "pid"
    while not (told.exists() and told.read_text().endswith("\n")):
        time.sleep(0.05)
    return int(told.read_text())


def kill_programs(folder: Path, times: int, done: list[int]) -> None:
    """Kill the first `times` runs of a program that is held back, with -9."""
    for run in range(1, times + 1):
        pid = halted(folder, run)
        os.kill(pid, signal.SIGKILL)
        done.append(pid)


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_program_is_run_once_more(
    case: Case, tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(case.theory)
    held = hold_back(program.command, tmp_path / "held", times)
    monkeypatch.setenv(program.variable, str(held))
    done: list[int] = []
    killer = threading.Thread(
        target=kill_programs, args=(held.parent, times, done), daemon=True
    )
    killer.start()
    if times == 1:
        label = run_label(case.theory, case.atoms, workdir=tmp_path)
        assert np.isfinite(label.forces).all()
    else:
        with pytest.raises(LabellingError, match=r"crashed.*SIGKILL.*memory"):
            run_label(case.theory, case.atoms, workdir=tmp_path)
    killer.join(timeout=5)
    assert len(done) == times


def test_a_time_out_leaves_no_program_behind(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(case.theory)
    held = hold_back(program.command, tmp_path / "held", 1)
    monkeypatch.setenv(program.variable, str(held))

    def ring(_signal: int, _frame: object) -> None:
        raise LabellingError(FailureKind.TIMEOUT, "too late")

    def wait_and_ring() -> None:
        halted(held.parent, 1)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        threading.Thread(target=wait_and_ring, daemon=True).start()
        with pytest.raises(LabellingError, match="timeout: too late"):
            run_label(case.theory, case.atoms, workdir=tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert programs(tmp_path) == []
