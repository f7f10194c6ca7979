"""ABINIT, the real one; without it these tests skip."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from ase import Atoms
from pydantic import ValidationError

from fire_core.config.dft import AbinitTheory, EspressoTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes import abinit
from fire_core.labelling.program import Resources, compute
from fire_core.labelling.run import run_label
from fire_core.records import FailureKind
from fire_core.testing.labellers import STRESS, DftContract, silicon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fire_core.labelling.program import ScfSettings

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
CHANGES: list[dict[str, object]] = [
    {"cutoff": 16.0}, {"k_spacing": 0.9}, {"dispersion": "D3(BJ)"},
    {"electronic_temperature": 100.0}, {"spin_polarised": True},
    {"scf_tolerance": 1e-8}, {"release": "1"}, {"initial_moments": {"Si": 1.0}},
]  # fmt: skip


@pytest.mark.long
class TestAbinit(DftContract):
    theory = AbinitTheory(cutoff=20.0, k_spacing=1.0)
    changes: ClassVar = CHANGES
    install = "apt install --no-install-recommends abinit cp2k-data"
    iterations = r"^ ETOT"
    says = r"nstep 2 was not enough"

    @staticmethod
    def cell() -> Atoms:
        return silicon()


@pytest.mark.long
class TestAbinitDispersion(TestAbinit):
    theory = AbinitTheory(cutoff=20.0, k_spacing=1.0, dispersion="D3(BJ)")
    changes: ClassVar = [{"dispersion": "none"}]


def hydride() -> Atoms:
    return Atoms(
        "LiH", cell=[2.6, 2.6, 2.7], positions=[[0, 0, 0], [1.35, 1.25, 1.3]], pbc=True
    )


@needs_abinit
@needs_espresso
@pytest.mark.parametrize(
    ("cell", "dispersion"),
    [(hydride, "none"), (hydride, "D3(BJ)"), (silicon, "none")],
)
def test_same_label_as_espresso_from_the_same_potential(
    tmp_path: Path, cell: Callable[[], Atoms], dispersion: str
) -> None:
    """Silicon has projectors of p character, whose stress pw.x gets from UPF alone."""
    shared = {"k_spacing": 1.3, "dispersion": dispersion}
    here = AbinitTheory.model_validate(shared | {"cutoff": 30.0})
    there = EspressoTheory.model_validate(
        shared | {"cutoff": 60.0, "density_cutoff": 240.0}
    )
    ours, theirs = (run_label(t, cell(), workdir=tmp_path) for t in (here, there))
    assert ours.energy == pytest.approx(theirs.energy, abs=SAME_POTENTIAL)
    assert ours.forces == pytest.approx(theirs.forces, abs=SAME_POTENTIAL)
    assert ours.stress == pytest.approx(theirs.stress, rel=1e-3, abs=STRESS / 5)


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
def test_the_remedy_goes_on_from_where_it_was(tmp_path: Path) -> None:
    few = COARSE.model_copy(update={"max_iterations": 4})
    label = compute(abinit.PROGRAM, few, silicon(), tmp_path, Resources())
    sure = run_label(COARSE, silicon(), workdir=tmp_path)
    assert label.energy == pytest.approx(sure.energy, abs=1e-6)


@needs_abinit
def test_a_potential_that_vanished_is_missing(tmp_path: Path) -> None:
    def write(
        theory: AbinitTheory, atoms: Atoms, folder: Path, effort: ScfSettings
    ) -> None:
        abinit.write(theory, atoms, folder, effort)
        (folder / "pseudopotentials" / "Si.gth").unlink()

    broken = replace(abinit.PROGRAM, write=write)
    with pytest.raises(LabellingError, match=r"Si\.gth") as caught:
        compute(broken, COARSE, silicon(), tmp_path, Resources())
    assert caught.value.kind == FailureKind.MISSING_POTENTIAL


@pytest.mark.parametrize(
    "wanted", [{"functional": "r2SCAN"}, {"dispersion": "D3"}], ids=str
)
def test_what_abinit_gets_wrong_is_refused(wanted: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wanted))):
        AbinitTheory.model_validate(wanted)
