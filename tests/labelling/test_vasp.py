"""VASP's input and output. VASP itself was never run here: it needs a licence.

The output is that of VASP 6.3.0 for diamond, which ASE ships for its own tests.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import ase.test
import numpy as np
import pytest
from ase import Atoms
from ase.io import read as ase_read
from ase.units import kB
from pydantic import ValidationError
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar
from pymatgen.io.vasp.sets import MPRelaxSet, MPScanStaticSet, MPStaticSet

from fire_core.config.dft import VaspTheory
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.codes import vasp
from fire_core.labelling.codes.potcars import MP_POTENTIALS
from fire_core.labelling.dft import program_of
from fire_core.labelling.program import Resources, ScfSettings, compute
from fire_core.labelling.run import check_ready, known_elements
from fire_core.records import FailureKind

EXAMPLE = Path(ase.test.__file__).parent / "testdata" / "vasp" / "vasprun_pstress.xml"
THEORY = VaspTheory(release="6.3.0")
EFFORT = ScfSettings(80)


def salt() -> Atoms:
    """LiF with its elements mixed, as a molecular dynamics may have them."""
    return Atoms(
        "LiFFLi",
        cell=[4.0, 4.1, 8.2],
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.01], [0, 0, 0.5], [0.5, 0.5, 0.49]],
        pbc=True,
    )


def name_potcar(folder: Path, name: str, header: str = "") -> None:
    place = folder / "POT_GGA_PAW_PBE"
    place.mkdir(exist_ok=True)
    with gzip.open(place / f"POTCAR.{name}.gz", "wt") as file:
        file.write(f"  PAW_PBE {name} 01Jan2000\n{header}End of Dataset\n")


@pytest.fixture
def potcars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "potcars"
    folder.mkdir()
    monkeypatch.setenv("FIRE_PSEUDOPOTENTIALS", str(folder))
    for name in ("Li_sv", "F"):
        name_potcar(folder, name)
    return folder


@pytest.mark.usefixtures("potcars")
def test_atoms_of_an_element_are_written_together(tmp_path: Path) -> None:
    vasp.write(THEORY, salt(), tmp_path, EFFORT)
    poscar = Poscar.from_file(tmp_path / "POSCAR", check_for_potcar=False)
    assert poscar.site_symbols == ["Li", "F"]
    assert poscar.natoms == [2, 2]
    positions = salt().positions[[0, 3, 1, 2]]
    assert poscar.structure.cart_coords == pytest.approx(positions, abs=1e-12)
    titles = (tmp_path / "POTCAR").read_text().splitlines()[::2]
    assert [title.split()[1] for title in titles] == ["Li_sv", "F"]


@pytest.mark.usefixtures("potcars")
def test_k_points_are_those_of_monkhorst_and_pack(tmp_path: Path) -> None:
    vasp.write(THEORY, salt(), tmp_path, EFFORT)
    mesh = Kpoints.from_file(tmp_path / "KPOINTS")
    assert mesh.style == Kpoints.supported_modes.Monkhorst
    assert mesh.kpts == [(7, 7, 4)]
    assert tuple(mesh.kpts_shift) == (0, 0, 0)


@pytest.mark.usefixtures("potcars")
def test_settings_are_those_of_the_materials_project(tmp_path: Path) -> None:
    vasp.write(THEORY, salt(), tmp_path, EFFORT)
    ours = Incar.from_file(tmp_path / "INCAR")
    structure = AseAtomsAdaptor.get_structure(salt())
    theirs = MPStaticSet(structure).incar
    differ = {key for key in theirs if ours.get(key) != theirs[key]}
    # Occupations whose forces are derivatives; tighter; as the theory says; no output
    assert differ == {"ISMEAR", "SIGMA", "EDIFF", "NELM", "ISPIN", "MAGMOM", "LORBIT",
                      "LWAVE"}  # fmt: skip
    assert ours["ISMEAR"] == -1
    assert ours["SIGMA"] == pytest.approx(580 * kB, abs=1e-9)
    assert ours["EDIFF"] == pytest.approx(4e-6)
    assert ours["EDIFF"] < theirs["EDIFF"]
    assert ours["NELM"] == EFFORT.iterations
    extra = set(ours) - set(theirs)
    assert extra == {"GGA", "IBRION", "ICHARG", "ISIF", "ISTART", "ISYM", "LMAXMIX"}


@pytest.mark.usefixtures("potcars")
def test_r2scan_is_that_of_the_materials_project(tmp_path: Path) -> None:
    theory = VaspTheory(functional="r2SCAN", potential_family="PBE_54", cutoff=680.0)
    ours = vasp._incar(theory, salt(), EFFORT)
    theirs = MPScanStaticSet(AseAtomsAdaptor.get_structure(salt()), bandgap=0).incar
    for key in ("ENCUT", "LMIXTAU", "LASPH", "PREC"):
        assert ours[key] == theirs[key]
    assert ours["METAGGA"].upper() == theirs["METAGGA"].upper()
    assert "GGA" not in ours
    with pytest.raises(ValidationError, match="PBE_52 or newer with r2SCAN"):
        VaspTheory(functional="r2SCAN")


def test_spin_dispersion_restart_and_remedy_are_written() -> None:
    theory = VaspTheory(
        spin_polarised=True, initial_moments={"Li": 1.0}, dispersion="D3(BJ)"
    )
    first = vasp._incar(theory, salt(), EFFORT)
    assert first["MAGMOM"] == [1.0, 0.0, 0.0, 1.0]
    assert first["IVDW"] == 12
    assert (first["ISTART"], first["ICHARG"], first["ALGO"]) == (0, 2, "Fast")
    again = vasp._incar(theory, salt(), ScfSettings(320, careful=True, restart=True))
    assert (again["ISTART"], again["ICHARG"], again["ALGO"]) == (1, 1, "Normal")
    assert again["NELM"] == 320
    zero = vasp._incar(VaspTheory(dispersion="D3"), salt(), EFFORT)
    assert zero["IVDW"] == 11


def test_potcars_are_those_of_the_materials_project() -> None:
    assert MPRelaxSet.CONFIG["POTCAR"] == MP_POTENTIALS
    assert known_elements(THEORY) == frozenset(MP_POTENTIALS)
    assert known_elements(VaspTheory(potentials={"Li": "Li"})) == {"Li"}


def test_a_missing_potcar_is_told(potcars: Path, tmp_path: Path) -> None:
    (potcars / "POT_GGA_PAW_PBE" / "POTCAR.F.gz").unlink()
    with pytest.raises(LabellingError, match=r"POTCAR F of PBE is not in") as caught:
        vasp.write(THEORY, salt(), tmp_path, EFFORT)
    assert caught.value.kind == FailureKind.MISSING_POTENTIAL


@pytest.mark.usefixtures("potcars")
def test_another_potcar_is_refused(tmp_path: Path) -> None:
    theory = VaspTheory(potential_digests={"Li": "abcd"})
    with pytest.raises(LabellingError, match=r"another one than the theory names"):
        vasp.write(theory, salt(), tmp_path, EFFORT)


def example(folder: Path, old: str = "", new: str = "") -> Path:
    """Put VASP's output into a folder, with a change."""
    text = EXAMPLE.read_text(encoding="iso-8859-1")
    assert old in text
    (folder / "vasprun.xml").write_text(text.replace(old, new, 1), "iso-8859-1")
    return folder


def test_output_is_read_as_ase_reads_it(tmp_path: Path) -> None:
    there = ase_read(EXAMPLE)
    label = vasp.read(THEORY, there, example(tmp_path), "")
    # The example was run under 1 kbar, which only ASE takes off; FIRE sets none.
    work = vasp.KILOBAR * there.get_volume()
    free = there.get_potential_energy(force_consistent=True)
    assert label.energy - work == pytest.approx(free, abs=1e-7)
    assert label.forces == pytest.approx(there.get_forces(), abs=1e-9)
    assert label.stress == pytest.approx(there.get_stress(), abs=1e-7)


def test_forces_return_to_their_atoms(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="iso-8859-1")
    start = text.index("<v>", text.index('<varray name="forces"'))
    rows = text[start : text.index("</varray>", start)]
    changed = "<v> 1.0 2.0 3.0 </v>\n<v> -1.0 -2.0 -3.0 </v>\n"
    atoms = Atoms("FLi", cell=np.eye(3) * 4, positions=[[0, 0, 0], [2, 2, 2]])
    label = vasp.read(THEORY, atoms, example(tmp_path, rows, changed), "")
    assert label.forces.tolist() == [[-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]]


def test_an_unconverged_output_is_no_label(tmp_path: Path) -> None:
    limit = '<i type="int" name="NELM">    60</i>'
    folder = example(tmp_path, limit, limit.replace("60", " 9"))
    with pytest.raises(LabellingError, match=r"does not say .* converged") as caught:
        vasp.read(THEORY, ase_read(EXAMPLE), folder, "")
    assert caught.value.kind == FailureKind.NOT_CONVERGED


@pytest.mark.parametrize("cut", [0, 20_000])
def test_half_an_output_is_no_label(tmp_path: Path, cut: int) -> None:
    text = EXAMPLE.read_text(encoding="iso-8859-1")
    if cut:
        (tmp_path / "vasprun.xml").write_text(text[:cut])
    with pytest.raises(LabellingError, match=r"left no whole vasprun\.xml") as caught:
        vasp.read(THEORY, ase_read(EXAMPLE), tmp_path, "")
    assert caught.value.kind == FailureKind.CRASHED


def test_another_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"asks for VASP 6\.4\.3, but .* 6\.3\.0"):
        vasp.read(VaspTheory(), ase_read(EXAMPLE), example(tmp_path), "")


def test_a_machine_without_vasp_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRE_VASP", "no-vasp-here")
    with pytest.raises(ConfigError, match=r"no VASP .* it needs a licence"):
        check_ready(THEORY)


HEADER = """\
   4.00000000000000
 parameters from PSCTR are:
   VRHFIN =C: s2p2
   LEXCH  = PE
   TITEL  = PAW_PBE C 08Apr2002
   ZVAL   =    4.000    mass and valenz
   ENMAX  =  400.000; ENMIN  =  300.000 eV
END of PSCTR-controll parameters
 local part
   1.0 2.0 3.0
"""
FAKE = """#!/bin/sh
# Stands in for VASP: fails as it does, once, then leaves the output of a real run.
if [ ! -e failed ]; then
    touch failed
    echo ' BRMIX: very serious problems'
    exit 0
fi
cp {example} vasprun.xml
"""


@pytest.mark.parametrize("touches", ["", "ISMEAR = 0"])
def test_custodian_mends_the_way_and_never_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touches: str
) -> None:
    """custodian itself; only VASP is a stand-in, for its licence's sake."""
    pytest.importorskip("custodian", reason="pip install fire-mlip[vasp]")
    fake = tmp_path / "vasp"
    text = FAKE.format(example=EXAMPLE)
    fake.write_text(f"{text}echo '{touches}' >>INCAR" if touches else text)
    fake.chmod(0o755)
    monkeypatch.setenv("FIRE_VASP", str(fake))
    monkeypatch.setenv("FIRE_PSEUDOPOTENTIALS", str(tmp_path))
    name_potcar(tmp_path, "C", HEADER)
    folder = tmp_path / "label"
    folder.mkdir()
    atoms = ase_read(EXAMPLE)
    if touches:
        with pytest.raises(LabellingError, match="another theory: ISMEAR -1 → 0"):
            compute(program_of(THEORY), THEORY, atoms, folder, Resources())
        return
    label = compute(program_of(THEORY), THEORY, atoms, folder, Resources())
    assert label.forces == pytest.approx(atoms.get_forces(), abs=1e-9)
    output = (folder / "label.out").read_text()
    assert "custodian: ['brmix'] → " in output
    assert Incar.from_file(folder / "INCAR")["IMIX"] == 1
