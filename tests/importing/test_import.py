"""Files into a store: nothing twice, nothing mixed, nothing left out in silence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.db import connect
from typer.testing import CliRunner

from cli.db import app
from fire_core.errors import StoreError
from fire_core.importing.formats import Format, recognise
from fire_core.importing.search import find_calculations
from fire_core.storage.exchange import frame_text
from fire_core.storage.store import Store
from tests.importing.helpers import read, split
from tests.importing.vasp_writer import Run, make_steps, write_vasprun

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")
    return Command(tmp_path / "store")


class Command:
    """`fire db import` with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def __call__(self, *arguments: str | Path) -> Result:
        place = ["--db", f"sqlite:///{self.folder}/a.db", "--blobs", f"{self.folder}/b"]
        words = ["import", *map(str, arguments), *place]
        return CliRunner().invoke(app, words)

    def labels(self) -> dict[str, int]:
        """Return the number of finished labels by fingerprint."""
        with Store.open(f"sqlite:///{self.folder}/a.db", self.folder / "b") as store:
            return {
                row[0]: len(store.labels.labelled_keys(row[0]))
                for row in store.theories.list()
            }


def test_what_is_stored_is_what_the_file_says(run: Command, data: Path) -> None:
    done = run(data / "espresso_scf.out")
    assert done.exit_code == 0, done.output
    assert "1 labels imported, 0 known already, 0 refused" in done.output
    (frame,) = read(data / "espresso_scf.out")
    with Store.open(f"sqlite:///{run.folder}/a.db", run.folder / "b") as store:
        ((fingerprint, code, version, settings),) = store.theories.list()
        (item,) = store.labels.labelled(
            store.labels.labelled_keys(fingerprint), fingerprint
        )
    assert (code, version) == ("espresso", "6.7")
    assert json.loads(settings)["functional"] == "PBE"
    assert item.label.energy == frame.label.energy
    assert np.array_equal(item.label.forces, frame.label.forces)
    assert item.atoms == frame.atoms


def test_a_folder_of_several_codes_is_imported_once_and_kept_apart(
    run: Command, data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(data, tmp_path / "runs")
    write_vasprun(folder / "vasprun.xml", Run(make_steps(3)))
    done = run(folder)
    assert done.exit_code == 0, done.output
    total = 1 + 2 + 1 + 2 + 3  # CP2K: single, dynamics; pw.x: scf, relaxation; VASP
    assert f"{total} labels imported, 0 known already, 5 refused" in done.output
    for name, frame, kind in (
        ("cp2k_stuck.out", 0, "not_converged"),
        ("lih/lih.out", 0, "not_converged"),
        ("espresso_mixed.out", 0, "not_converged"),
        ("espresso_stuck.out", 0, "not_converged"),
        ("espresso_vcrelax.out", 0, "no_forces"),
    ):
        assert f"refused {folder / name} frame {frame}: {kind}" in done.output
    assert "files that are not calculations" in done.output
    assert sorted(run.labels().values()) == [1, 1, 2, 2, 3]
    again = run(folder)
    assert f"0 labels imported, {total} known already, 5 refused" in again.output
    assert sorted(run.labels().values()) == [1, 1, 2, 2, 3]


def test_files_of_two_theories_have_two_fingerprints(
    run: Command, tmp_path: Path
) -> None:
    write_vasprun(tmp_path / "a.xml", Run(make_steps(2)))
    write_vasprun(tmp_path / "b.xml", Run(make_steps(2), incar={"METAGGA": "R2SCAN"}))
    assert run(f"{tmp_path}/*.xml").exit_code == 0
    assert sorted(run.labels().values()) == [2, 2]


def test_a_name_does_not_cover_two_theories(run: Command, tmp_path: Path) -> None:
    write_vasprun(tmp_path / "a.xml", Run(make_steps(2)))
    write_vasprun(tmp_path / "b.xml", Run(make_steps(2, 1), incar={"IVDW": "12"}))
    done = run(tmp_path / "a.xml", tmp_path / "b.xml", "--theory", "pbe")
    assert "2 labels imported, 0 known already, 2 refused" in done.output
    assert "mixed_theory: IVDW 0.0 and 12.0; leave --theory out" in done.output
    assert list(run.labels().values()) == [2]


def test_a_file_that_does_not_say_its_theory_asks_for_it(
    run: Command, tmp_path: Path
) -> None:
    path = tmp_path / "a.extxyz"
    atoms = bulk("LiCl", "rocksalt", a=5.1)
    path.write_text(frame_text(atoms, energy=-1.0, forces=np.zeros((2, 3))))
    done = run(path)
    assert isinstance(done.exception, StoreError)
    assert f"type `fire db import {path} --theory NAME" in str(done.exception)
    assert run.labels() == {}
    assert "1 labels imported" in run(path, "--theory", "pbe").output
    (fingerprint,) = run.labels()
    words = {"theory": fingerprint}
    named = frame_text(atoms, energy=-1.0, forces=np.zeros((2, 3)), info=words)
    path.write_text(named)
    assert "0 labels imported, 1 known already" in run(path).output
    path.write_text(named.replace(fingerprint, "elsewhere"))
    assert "unknown_theory: theory elsewhere is not in this store" in run(path).output


def test_another_energy_for_the_same_structure_is_refused(
    run: Command, tmp_path: Path
) -> None:
    one, two = make_steps(1)[0], make_steps(1)[0]
    two = replace(two, energies=[e - 0.1 for e in two.energies])
    path = write_vasprun(tmp_path / "vasprun.xml", Run([one, one, two]))
    done = run(path)
    assert "1 labels imported, 1 known already, 1 refused" in done.output
    assert "refused frame 2: contradiction" in done.output
    assert "50.0 meV/atom" in done.output
    assert "0 labels imported, 2 known already, 1 refused" in run(path).output


def test_overlapping_atoms_and_numbers_that_are_none_are_refused(
    tmp_path: Path,
) -> None:
    close, broken, good = make_steps(3)
    close.atoms.positions[1] = close.atoms.positions[0] + 0.1
    assert broken.forces is not None
    broken.forces[0, 0] = np.nan
    path = write_vasprun(tmp_path / "vasprun.xml", Run([good, close, broken]))
    assert split(path)[1] == {1: "overlap", 2: "not_finite"}


@pytest.mark.parametrize("name", ["a.db", "a.json"])
def test_rows_of_an_ase_database(run: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT(asap_cutoff=True)
    energy, forces, stress = (
        atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(),
    )  # fmt: skip
    with connect(path) as database:
        database.write(atoms)
        database.write(bulk("Cu"))
    assert recognise(path) is Format.ASE_DB
    (frame,), refused = split(path)
    assert refused == {1: "no_energy"}
    assert frame.label.energy == energy
    assert np.array_equal(frame.label.forces, forces)
    assert frame.label.stress is not None
    assert np.array_equal(frame.label.stress, stress)
    done = run(path)
    assert "1 labels imported, 0 known already, 1 refused" in done.output
    assert "asap_cutoff True" in done.output


def test_formats_are_recognised_by_content(data: Path, tmp_path: Path) -> None:
    found = find_calculations([str(data)])
    kinds = {path.name: kind for path, kind in found.files.items()}
    assert kinds["lih.out"] is Format.CP2K
    assert kinds["espresso_scf.out"] is Format.ESPRESSO
    assert "lih-pos-1.xyz" not in kinds  # a trajectory of CP2K's, no labels
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "b"):
        assert recognise(tmp_path / "fire.db") is None  # ours, not ASE's


def test_an_outcar_beside_its_vasprun_is_left_out(
    run: Command, tmp_path: Path, vasp_samples: Path
) -> None:
    folder = tmp_path / "calc"
    folder.mkdir()
    write_vasprun(folder / "vasprun.xml", Run(make_steps(1)))
    shutil.copy(vasp_samples / "OUTCAR_example_1", folder / "OUTCAR")
    done = run(folder)
    assert "1 labels imported" in done.output
    assert f"left out {folder / 'OUTCAR'}" in done.output


def test_files_that_are_none_are_errors(run: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no calculation")
    with pytest.raises(StoreError, match="no file at nowhere"):
        find_calculations(["nowhere.xml"])
    with pytest.raises(StoreError, match="which it is with --format"):
        find_calculations([str(tmp_path / "notes.txt")])
    done = run(tmp_path / "notes.txt", "--format", "vasprun", "--theory", "x")
    assert isinstance(done.exception, StoreError)
    assert "cannot be read as vasprun" in str(done.exception)
    (tmp_path / "empty.extxyz").touch()
    done = run(tmp_path / "empty.extxyz", "--theory", "x")
    assert "holds no frame" in str(done.exception)


def test_a_broken_file_hides_no_other(run: Command, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<modeling>")
    write_vasprun(tmp_path / "b.xml", Run(make_steps(1)))
    done = run(tmp_path / "a.xml", tmp_path / "b.xml")
    assert "1 labels imported" in done.output
    assert "a.xml cannot be read as vasprun" in str(done.exception)
