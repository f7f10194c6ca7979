"""CP2K and Quantum ESPRESSO, the real ones: derivatives, restarts, failures.

Without the programs these tests skip; `apt install cp2k quantum-espresso` brings them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.config.dft import Cp2kTheory, DftTheory, EspressoTheory
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.codes.registry import program_of
from fire_core.labelling.makers import check_ready, run_label
from fire_core.labelling.program import Machine, compute
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FORCE = 5e-3  # eV/Å
STRESS = 0.1 / 160.21766  # 0.1 GPa in eV/Å³
SAME_ENERGY = 1e-4  # eV, what the SCF tolerances leave


@dataclass(frozen=True)
class Case:
    """A coarse theory, a cell that it takes seconds for, and what breaks it."""

    theory: DftTheory
    atoms: Atoms
    broken: dict[str, object]
    iterations: str


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
        r"SCF run converged in +(\d+)",
    ),
    "espresso": Case(
        EspressoTheory(
            k_spacing=1.0, cutoff=50.0, density_cutoff=200.0, scf_tolerance=1e-10
        ),
        soft(),
        {"pseudopotentials": {"Al": "Al.upf sha256:00", "P": "P.upf sha256:00"}},
        r"convergence has been achieved in +(\d+)",
    ),
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = CASES[request.param]
    program = program_of(found.theory)
    if shutil.which(program.command) is None:
        pytest.skip(f"{program.name} is not here: {program.install}")
    return found


def test_forces_and_stress_are_derivatives_of_the_energy(
    case: Case, tmp_path: Path
) -> None:
    machine = Machine(shelf=tmp_path / "shelf")
    step = 0.01

    def label(atoms: Atoms) -> object:
        return run_label(case.theory, atoms, workdir=tmp_path, machine=machine)

    def energy(sign: float, *, strained: bool) -> float:
        atoms = case.atoms.copy()
        if strained:
            strain = np.eye(3)
            strain[0, 0] += sign * step
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        else:
            atoms.positions[1, 2] += sign * step
        return float(label(atoms).energy)  # type: ignore[attr-defined]

    here = run_label(case.theory, case.atoms, workdir=tmp_path, machine=machine)
    slope = (energy(1, strained=False) - energy(-1, strained=False)) / (2 * step)
    assert here.forces[1, 2] == pytest.approx(-slope, abs=FORCE)
    slope = (energy(1, strained=True) - energy(-1, strained=True)) / (2 * step)
    assert here.stress is not None
    volume = case.atoms.get_volume()
    assert here.stress[0] == pytest.approx(slope / volume, abs=STRESS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shelf"]


def test_a_restart_saves_iterations_and_changes_no_label(
    case: Case, tmp_path: Path
) -> None:
    machine = Machine(shelf=tmp_path / "shelf")
    near = case.atoms.copy()
    near.positions[0, 0] += 0.02
    found: list[tuple[float, int]] = []
    for number, (atoms, shelf) in enumerate(
        [(near, None), (case.atoms, machine.shelf), (near, machine.shelf)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        program = program_of(case.theory)
        label = compute(program, case.theory, atoms, folder, Machine(shelf=shelf))
        (count,) = re.findall(case.iterations, (folder / "label.out").read_text())
        found.append((label.energy, int(count)))
    fresh, _, restarted = found
    assert restarted[0] == pytest.approx(fresh[0], abs=SAME_ENERGY)
    assert restarted[1] < fresh[1]


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


def failure(case: Case, folder: Path, **changes: object) -> LabellingError:
    theory = type(case.theory).model_validate(case.theory.model_dump() | changes)
    with pytest.raises(LabellingError, match=program_of(theory).name) as caught:
        run_label(theory, case.atoms, workdir=folder)
    return caught.value


def test_a_limit_of_steps_is_no_label(case: Case, tmp_path: Path) -> None:
    error = failure(case, tmp_path, max_iterations=2)  # and 8 careful ones
    assert error.kind == FailureKind.NOT_CONVERGED
    assert "not" in error.reason.lower()
    assert error.log_tail
    assert error.workdir is not None
    (kept,) = tmp_path.iterdir()
    assert str(kept) == error.workdir
    assert list(kept.rglob("label.out"))


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


def kill_programs(folder: Path, times: int, done: list[int]) -> None:
    """Kill the first `times` programs that run below a folder, with -9."""
    while len(done) < times:
        for pid in programs(folder):
            if pid not in done:
                time.sleep(0.5)
                os.kill(pid, signal.SIGKILL)
                done.append(pid)
        time.sleep(0.05)


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_program_is_run_once_more(
    case: Case, tmp_path: Path, times: int
) -> None:
    done: list[int] = []
    killer = threading.Thread(
        target=kill_programs, args=(tmp_path, times, done), daemon=True
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


def test_a_time_out_leaves_no_program_behind(case: Case, tmp_path: Path) -> None:
    def ring(_signal: int, _frame: object) -> None:
        raise LabellingError(FailureKind.TIMEOUT, "too late")

    def wait_and_ring() -> None:
        while not programs(tmp_path):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        threading.Thread(target=wait_and_ring, daemon=True).start()
        with pytest.raises(LabellingError, match="timeout: too late"):
            run_label(case.theory, case.atoms, workdir=tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert programs(tmp_path) == []


def test_atoms_on_top_of_each_other_are_no_label(case: Case, tmp_path: Path) -> None:
    atoms = case.atoms.copy()
    atoms.positions[1] = atoms.positions[0] + [0.3, 0.0, 0.0]
    with pytest.raises(LabellingError, match="bad_geometry"):  # before it costs
        run_label(case.theory, atoms, workdir=tmp_path)


def test_a_machine_without_the_program_is_told_before_a_label_is_claimed(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ready(case.theory)
    other = case.theory.model_copy(update={"release": "0.1"})
    program = program_of(case.theory)
    with pytest.raises(ConfigError, match=rf"asks for {program.name} 0.1, but"):
        check_ready(other)
    monkeypatch.setenv(program.variable, "nobodys-binary")
    with pytest.raises(ConfigError, match=r"'nobodys-binary' is not on its PATH"):
        check_ready(case.theory)


def test_what_changes_no_label_changes_no_fingerprint(case: Case) -> None:
    def fingerprint(**changes: object) -> str:
        fields = case.theory.model_dump() | changes
        return theory_from_config(type(case.theory).model_validate(fields)).fingerprint

    same = fingerprint()
    assert fingerprint(max_iterations=7) == same
    changes: list[dict[str, object]] = [
        {"cutoff": 111.0}, {"k_spacing": 0.31}, {"dispersion": "D3(BJ)"},
        {"electronic_temperature": 100.0}, {"spin_polarised": True},
        {"scf_tolerance": 1e-5}, {"release": "1"}, {"initial_moments": {"Li": 1.0}},
    ]  # fmt: skip
    if isinstance(case.theory, Cp2kTheory):  # pw.x 6.7 has no other functional
        changes.append({"functional": "r2SCAN"})
    others = {fingerprint(**change) for change in changes}
    assert len(others | {same}) == len(changes) + 1
