"""ABINIT, the real one; without it these tests skip."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ase import Atoms
from pydantic import ValidationError

from fire_core.config.dft import AbinitTheory, EspressoTheory
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling import program as programs
from fire_core.labelling.codes import abinit, espresso
from fire_core.labelling.makers import check_ready, run_label
from fire_core.labelling.program import Machine, compute
from fire_core.records import FailureKind
from tests.labelling.derivatives import FORCE, STRESS, check_derivatives, silicon

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.labelling.program import Effort

needs_abinit = pytest.mark.skipif(
    shutil.which("abinit") is None,
    reason="ABINIT is not here: apt install --no-install-recommends abinit cp2k-data",
)
needs_espresso = pytest.mark.skipif(
    shutil.which("pw.x") is None,
    reason="Quantum ESPRESSO is not here: apt install quantum-espresso",
)
COARSE = AbinitTheory(cutoff=15.0, k_spacing=1.0)
SAME_POTENTIAL = 1e-3  # eV, between two codes


def steps(folder: Path) -> int:
    """SCF steps that the output tells."""
    return len(re.findall(r"^ ETOT", (folder / "label.out").read_text(), re.M))


@needs_abinit
@pytest.mark.slow
@pytest.mark.parametrize("dispersion", ["none", "D3(BJ)"])
def test_forces_and_stress_are_derivatives(tmp_path: Path, dispersion: str) -> None:
    theory = AbinitTheory.model_validate(
        {"cutoff": 20.0, "k_spacing": 1.0, "dispersion": dispersion}
    )
    check_ready(theory)
    check_derivatives(theory, silicon(), tmp_path)


@needs_abinit
@needs_espresso
@pytest.mark.parametrize("dispersion", ["none", "D3(BJ)"])
def test_same_label_as_espresso_from_the_same_potential(
    tmp_path: Path, dispersion: str
) -> None:
    atoms = Atoms(
        "LiH", cell=[2.6, 2.6, 2.7], positions=[[0, 0, 0], [1.35, 1.25, 1.3]], pbc=True
    )
    shared = {"k_spacing": 1.3, "dispersion": dispersion}
    here = AbinitTheory.model_validate(shared | {"cutoff": 30.0})
    there = EspressoTheory.model_validate(
        shared | {"cutoff": 60.0, "density_cutoff": 240.0}
    )
    folders = tmp_path / "abinit", tmp_path / "espresso"
    for folder in folders:
        folder.mkdir()
    ours = compute(abinit.PROGRAM, here, atoms, folders[0], Machine())
    theirs = compute(espresso.PROGRAM, there, atoms, folders[1], Machine())
    if dispersion == "none":  # pw.x adds the three-body term of D3
        assert ours.energy == pytest.approx(theirs.energy, abs=SAME_POTENTIAL)
        assert ours.stress == pytest.approx(theirs.stress, abs=STRESS)
    assert ours.forces == pytest.approx(theirs.forces, abs=FORCE)


@needs_abinit
def test_spins_without_moments_change_nothing(tmp_path: Path) -> None:
    spins = COARSE.model_copy(update={"spin_polarised": True})
    one, two = (run_label(t, silicon(), workdir=tmp_path) for t in (COARSE, spins))
    assert one.energy == pytest.approx(two.energy, abs=1e-6)
    assert one.forces == pytest.approx(two.forces, abs=1e-4)


@needs_abinit
def test_atoms_of_hydrogen_are_magnetic(tmp_path: Path) -> None:
    atom = Atoms("H", cell=[5, 5, 5], pbc=True)
    spins = AbinitTheory(
        cutoff=15.0, k_spacing=9.0, spin_polarised=True, initial_moments={"H": 1.0}
    )
    bare = spins.model_copy(update={"spin_polarised": False})
    magnetic, not_magnetic = (
        run_label(t, atom, workdir=tmp_path).energy for t in (spins, bare)
    )
    assert not_magnetic - magnetic > 0.5  # eV; 1 eV for the free atom in PBE


@needs_abinit
def test_a_restart_gives_the_same_label_in_fewer_steps(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "fresh", "again")]
    for folder in folders:
        folder.mkdir()
    machine = Machine(shelf=tmp_path / "shelf")
    near = silicon()
    near.positions[0] += 0.01
    near.set_cell(near.cell.array * 1.001, scale_atoms=True)
    compute(abinit.PROGRAM, COARSE, silicon(), folders[0], machine)
    fresh = compute(abinit.PROGRAM, COARSE, near, folders[1], Machine())
    again = compute(abinit.PROGRAM, COARSE, near, folders[2], machine)
    assert again.energy == pytest.approx(fresh.energy, abs=1e-6)
    assert again.forces == pytest.approx(fresh.forces, abs=1e-4)
    assert steps(folders[2]) < steps(folders[1])


@needs_abinit
def test_the_remedy_goes_on_from_where_it_was(tmp_path: Path) -> None:
    few = COARSE.model_copy(update={"max_iterations": 4})
    label = compute(abinit.PROGRAM, few, silicon(), tmp_path, Machine())
    sure = run_label(COARSE, silicon(), workdir=tmp_path)
    assert label.energy == pytest.approx(sure.energy, abs=1e-6)
    assert steps(tmp_path) < 16


@needs_abinit
def test_too_few_steps_are_not_converged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "REMEDY_ITERATIONS", 1)
    theory = COARSE.model_copy(update={"max_iterations": 2})
    with pytest.raises(LabellingError, match=r"nstep 2 was not enough") as caught:
        run_label(theory, silicon(), workdir=tmp_path)
    assert caught.value.kind == FailureKind.NOT_CONVERGED
    assert caught.value.workdir is not None


@needs_abinit
def test_a_potential_that_vanished_is_missing(tmp_path: Path) -> None:
    def write(theory: AbinitTheory, atoms: Atoms, folder: Path, effort: Effort) -> None:
        abinit.write(theory, atoms, folder, effort)
        (folder / "pseudopotentials" / "Si.gth").unlink()

    broken = replace(abinit.PROGRAM, write=write)
    with pytest.raises(LabellingError, match=r"Si\.gth") as caught:
        compute(broken, COARSE, silicon(), tmp_path, Machine())
    assert caught.value.kind == FailureKind.MISSING_POTENTIAL


@needs_abinit
def test_another_release_is_refused() -> None:
    other = COARSE.model_copy(update={"release": "10.4.5"})
    with pytest.raises(ConfigError, match=r"asks for ABINIT 10\.4\.5, but .* 9\."):
        check_ready(other)


@pytest.mark.parametrize(
    "wanted", [{"functional": "r2SCAN"}, {"dispersion": "D3"}], ids=str
)
def test_what_abinit_gets_wrong_is_refused(wanted: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wanted))):
        AbinitTheory.model_validate(wanted)
