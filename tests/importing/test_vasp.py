"""VASP's files. The files of several steps are written here, not computed by VASP;
ASE's wheel ships two that are real."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.io import read as ase_read
from ase.units import GPa

from fire_core.labelling.theory import Theory
from tests.importing.helpers import read, split
from tests.importing.vasp_writer import EDIFF, NELM, Run, make_steps, write_vasprun

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = 1e-7  # eight are written
REACHED = "aborting loop because EDIFF is reached"


def theory_of(path: Path) -> Theory:
    theory = read(path)[0].theory
    assert isinstance(theory, Theory)
    return theory


def test_every_ionic_step_is_read_as_ase_and_pymatgen_read_it(tmp_path: Path) -> None:
    from pymatgen.io.vasp.outputs import Vasprun

    steps = make_steps(3)
    path = write_vasprun(tmp_path / "vasprun.xml", Run(steps))
    images = ase_read(path, index=":", format="vasp-xml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    for frame, image, step, made in zip(
        read(path), images, run.ionic_steps, steps, strict=True
    ):
        label = frame.label
        assert label.stress is not None
        assert label.energy == pytest.approx(made.energies[-1], abs=DIGITS)
        assert label.energy == image.get_potential_energy(force_consistent=True)
        assert label.energy == step["e_fr_energy"]
        assert np.array_equal(label.forces, image.get_forces())
        assert np.allclose(label.stress, image.get_stress(), atol=1e-12)
        assert np.allclose(frame.atoms.positions, image.positions, atol=1e-12)
        assert np.allclose(frame.atoms.positions, made.atoms.positions, atol=1e-6)
        assert frame.atoms.get_chemical_symbols() == ["Li", "Cl"]


def test_stress_is_negative_where_vasp_says_that_the_cell_is_squeezed(
    tmp_path: Path,
) -> None:
    step = replace(make_steps(1)[0], stress=np.diag([10.0, 20.0, 30.0]))
    (frame,) = read(write_vasprun(tmp_path / "vasprun.xml", Run([step])))
    assert frame.label.stress == pytest.approx(
        -0.1 * GPa * np.array([10, 20, 30, 0, 0, 0])
    )


def test_dispersion_of_the_ionic_step_is_in_the_energy(tmp_path: Path) -> None:
    step = replace(make_steps(1)[0], dispersion=-0.3)
    (frame,) = read(write_vasprun(tmp_path / "vasprun.xml", Run([step])))
    assert frame.label.energy == pytest.approx(step.energies[-1] - 0.3, abs=DIGITS)


def test_steps_that_are_no_labels_are_refused_one_by_one(tmp_path: Path) -> None:
    good, stuck, stopped, bare, single = make_steps(5)
    stuck.energies = [-7.0 - 0.1**n for n in range(NELM)]
    stopped.energies = [-7.0, -7.4, -7.4 - 50 * EDIFF]  # LABORT
    bare.forces = None
    single.energies = [-7.0]
    run = Run([stuck, good, stopped, bare, single])
    taken, refused = split(write_vasprun(tmp_path / "vasprun.xml", run))
    assert [frame.number for frame in taken] == [1]
    assert refused == {
        0: "not_converged", 2: "not_converged", 3: "no_forces", 4: "not_converged",
    }  # fmt: skip


def test_a_run_with_a_fixed_density_is_refused(tmp_path: Path) -> None:
    path = write_vasprun(tmp_path / "vasprun.xml", Run(make_steps(1), icharg=11))
    assert split(path) == ([], {0: "not_converged"})


def test_a_file_that_breaks_off_keeps_its_whole_steps(tmp_path: Path) -> None:
    path = write_vasprun(tmp_path / "vasprun.xml", Run(make_steps(3)))
    text = path.read_text()
    path.write_text(text[: text.rindex('<varray name="forces">') + 60])
    taken, refused = split(path)
    assert [frame.number for frame in taken] == [0, 1]
    assert refused == {2: "truncated"}


def test_a_compressed_file_is_the_same(tmp_path: Path) -> None:
    path = write_vasprun(tmp_path / "vasprun.xml", Run(make_steps(2)))
    packed = tmp_path / "vasprun.xml.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [f.label.energy for f in read(packed)] == [
        f.label.energy for f in read(path)
    ]


def test_the_theory_is_read_and_holds_what_changes_a_label(tmp_path: Path) -> None:
    path, steps = tmp_path / "vasprun.xml", make_steps(1)
    plain = theory_of(write_vasprun(path, Run(steps)))
    settings = json.loads(plain.settings_json)
    assert (plain.code, plain.version) == ("vasp", "6.4.2")
    assert settings["ENCUT"] == 520.0
    assert settings["PREC"] == "ACCURA"
    assert settings["k_points"] == "2x2x2"
    assert settings["potcar"]["Li"] == "PAW_PBE Li_sv 10Sep2004"
    same = (
        Run(make_steps(1, seed=5)),
        Run(steps, incar={"NSW": "200", "NCORE": "4", "SYSTEM": "x", "ALGO": "All"}),
    )
    other = (
        Run(steps, cutoff=400.0),
        Run(steps, titles=("PAW_PBE Li 17Jan2003", "PAW_PBE Cl 06Sep2000")),
        Run(steps, incar={"METAGGA": "R2SCAN"}),
        Run(steps, incar={"IVDW": "12"}),
        Run(steps, incar={"KSPACING": "0.2"}),
    )
    for run in same:
        assert theory_of(write_vasprun(path, run)) == plain
    prints = {theory_of(write_vasprun(path, run)).fingerprint for run in other}
    assert len(prints | {plain.fingerprint}) == 1 + len(other)


def test_a_real_vasprun_under_pressure_has_an_energy_and_no_enthalpy(
    vasp_samples: Path,
) -> None:
    (frame,) = read(vasp_samples / "vasprun_pstress.xml")
    image = ase_read(vasp_samples / "vasprun_pstress.xml", format="vasp-xml")
    assert frame.label.stress is not None
    assert frame.label.energy == pytest.approx(
        image.get_potential_energy(force_consistent=True), abs=1e-8
    )
    assert np.allclose(frame.label.stress, image.get_stress())
    assert isinstance(frame.theory, Theory)
    settings = json.loads(frame.theory.settings_json)
    assert frame.theory.version == "6.3.0"
    assert settings["k_points"] == "4x4x4 shifted 1,1,1"
    assert settings["potcar"] == {"C": "PAW C 22Mar2012"}


def test_a_real_outcar_is_read_as_pymatgen_and_its_text_have_it(
    vasp_samples: Path,
) -> None:
    from pymatgen.io.vasp.outputs import Outcar

    path = vasp_samples / "OUTCAR_example_1"
    (frame,) = read(path)
    assert frame.label.energy == Outcar(str(path)).final_fr_energy
    text = path.read_text()
    kilobars = [float(x) for x in re.findall(r"in kB (.*)", text)[-1].split()]
    assert frame.label.stress is not None  # VASP: xx yy zz xy yz zx
    assert frame.label.stress == pytest.approx(
        -0.1 * GPa * np.array(kilobars)[[0, 1, 2, 4, 5, 3]]
    )
    table = text.partition("TOTAL-FORCE (eV/Angst)")[2].splitlines()[2:20]
    rows = np.array([line.split() for line in table], dtype=float)
    assert np.array_equal(frame.label.forces, rows[:, 3:6])
    assert np.array_equal(frame.atoms.positions, rows[:, :3])
    assert isinstance(frame.theory, Theory)
    settings = json.loads(frame.theory.settings_json)
    assert (frame.theory.code, frame.theory.version) == ("vasp", "5.3.3")
    assert settings["ENCUT"] == 300.0
    assert settings["ISPIN"] == 2.0
    assert settings["k_points"] == "1x1x1"
    assert settings["potcar"] == {"Ni": "PAW_PBE Ni 02Aug2007"}


def test_steps_of_an_outcar_are_judged_by_themselves(
    vasp_samples: Path, tmp_path: Path
) -> None:
    """The real file with its SCF repeated: unconverged, whole, and cut short."""
    text = (vasp_samples / "OUTCAR_example_1").read_text()
    begin = text.index("----------------------------------------- Iteration")
    head, step = text[:begin], text[begin:]
    again = step.replace("Iteration    1(", "Iteration    2(")
    stuck = step.replace(REACHED, "aborting loop EDIFF was not reached (unconverged)")
    path = tmp_path / "OUTCAR"
    path.write_text(head + stuck + again + again[:5000])
    taken, refused = split(path)
    assert [frame.number for frame in taken] == [1]
    assert refused == {0: "not_converged", 2: "truncated"}
