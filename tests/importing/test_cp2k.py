"""Outputs of CP2K: numbers as two other readers have them; nothing unconverged."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.units import Bohr, GPa, Hartree

from fire_core.labelling.codes import cp2k
from fire_core.labelling.theory import Theory
from tests.importing.helpers import CONSTANTS, read, split

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_numbers_are_those_of_our_own_labeller(data: Path) -> None:
    path = data / "cp2k_single.out"
    (frame,) = read(path)
    ours = cp2k.read(None, frame.atoms, path.parent, path.read_text())  # type: ignore[arg-type]
    assert frame.label.energy == ours.energy
    assert np.array_equal(frame.label.forces, ours.forces)
    assert frame.label.stress is not None
    assert ours.stress is not None
    assert np.array_equal(frame.label.stress, ours.stress)
    assert frame.label.energy == pytest.approx(-16.124169604454796 * 27.211386)


def test_the_structure_is_the_one_of_the_input(data: Path) -> None:
    (frame,) = read(data / "cp2k_single.out")
    assert frame.atoms.get_chemical_symbols() == ["Li", "Li", "H", "H"]
    assert np.allclose(frame.atoms.cell, [[4, 0, 0], [0.3, 4.1, 0], [0, 0, 4.2]])
    assert np.allclose(frame.atoms.positions[1], [2.1, 2.0, 0.1])
    assert frame.atoms.pbc.all()


def test_the_theory_is_what_the_output_states(data: Path) -> None:
    (frame,) = read(data / "cp2k_single.out")
    assert isinstance(frame.theory, Theory)
    assert (frame.theory.code, frame.theory.version) == ("cp2k", "2023.1")
    settings = json.loads(frame.theory.settings_json)
    assert settings["functional"] == ["PBE"]
    assert settings["cutoff_ry"] == 300.0
    assert settings["relative_cutoff_ry"] == 50.0
    assert settings["basis"] == dict.fromkeys(("H", "Li"), "DZVP-MOLOPT-SR-GTH")
    assert settings["potential"] == dict.fromkeys(("H", "Li"), "GTH-PBE")
    assert settings["k_points"] == "2x2x2"
    assert settings["electronic_temperature_k"] == "1500.0"
    assert "DFT-D3 (Version 3.1)" in settings["dispersion"]


def test_forces_of_a_run_that_did_not_converge_are_not_taken(data: Path) -> None:
    path = data / "cp2k_stuck.out"
    assert "ATOMIC FORCES" in path.read_text()  # CP2K prints them all the same
    assert split(path) == ([], {0: "not_converged"})


def test_dynamics_follow_the_trajectory_beside_the_output(data: Path) -> None:
    folder = data / "lih"
    taken, refused = split(folder / "lih.out")
    assert refused == {0: "not_converged"}
    assert [frame.number for frame in taken] == [1, 2]
    cells = np.loadtxt(folder / "lih-1.cell")
    for frame in taken:
        positions = rows_of(folder / "lih-pos-1.xyz", frame.number)
        forces = rows_of(folder / "lih-frc-1.xyz", frame.number)
        assert np.array_equal(frame.atoms.positions, positions)
        assert np.array_equal(frame.atoms.cell.ravel(), cells[frame.number, 2:11])
        assert np.allclose(frame.label.forces, forces * Hartree / Bohr, atol=1e-8)


def rows_of(path: Path, number: int) -> NDArray[np.float64]:
    """Return a frame of four atoms, (4, 3), as CP2K wrote it."""
    skipped = 6 * number + 2
    return np.loadtxt(path, skiprows=skipped, max_rows=4, usecols=(1, 2, 3))


def test_stress_is_without_the_motion_of_the_atoms(data: Path) -> None:
    """CP2K's own file adds the kinetic part: tr(σ - σ_total) V = 2 E_kin."""
    folder = data / "lih"
    total = np.loadtxt(folder / "lih-1.stress")[:, (2, 6, 10)] * 1e-4 * GPa
    kinetic = np.loadtxt(folder / "lih-1.ener")[:, 2] * Hartree
    for frame in split(folder / "lih.out")[0]:
        assert frame.label.stress is not None
        excess = frame.label.stress[:3].sum() + total[frame.number].sum()
        assert excess * frame.atoms.get_volume() == pytest.approx(
            2 * kinetic[frame.number], rel=1e-6
        )


def test_pymatgen_reads_the_same_energies(data: Path) -> None:
    from pymatgen.io.cp2k.outputs import Cp2kOutput

    output = Cp2kOutput(str(data / "lih" / "lih.out"), auto_load=False)
    output.parse_energies()
    energies = [frame.label.energy for frame in split(data / "lih" / "lih.out")[0]]
    assert energies == pytest.approx(output.data["total_energy"][1:], rel=CONSTANTS)


@pytest.mark.parametrize("missing", ["lih-pos-1.xyz", "lih-1.cell"])
def test_a_step_whose_structure_is_not_there_is_refused(
    data: Path, tmp_path: Path, missing: str
) -> None:
    folder = shutil.copytree(data / "lih", tmp_path / "lih")
    (folder / missing).unlink()
    assert split(folder / "lih.out") == (
        [],
        {0: "not_converged", 1: "no_structure", 2: "no_structure"},
    )


def test_forces_are_found_beside_an_output_without_them(
    data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(data / "lih", tmp_path / "lih")
    path = folder / "lih.out"
    path.write_text(path.read_text().replace("      1      1      Li ", " "))
    expected = [frame.label.forces for frame in split(data / "lih" / "lih.out")[0]]
    lines = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("      2      1", "      3      2", "      4      2"))
    ]
    path.write_text("\n".join(lines) + "\n")
    found = [frame.label.forces for frame in split(path)[0]]
    assert np.allclose(found, expected, atol=1e-8)
    (folder / "lih-frc-1.xyz").unlink()
    assert split(path)[1] == {0: "not_converged", 1: "no_forces", 2: "no_forces"}


def test_a_cell_that_the_output_rounds_is_not_trusted(
    data: Path, tmp_path: Path
) -> None:
    """CP2K 2023.1 prints vectors to 0.001 Å; the volume tells."""
    path = tmp_path / "a.out"
    text = (data / "cp2k_single.out").read_text()
    path.write_text(text.replace("68.880000", "68.884200"))
    assert split(path) == ([], {0: "no_structure"})
