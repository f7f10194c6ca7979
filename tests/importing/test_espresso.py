"""Outputs of pw.x: numbers as ASE and our labeller read them; nothing unconverged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.io import read as ase_read
from ase.units import GPa

from fire_core.importing.mesh import describe_mesh
from fire_core.labelling.codes import espresso
from fire_core.labelling.theory import Theory
from tests.importing.helpers import CONSTANTS, read, split

if TYPE_CHECKING:
    from pathlib import Path


def test_energy_forces_and_stress_are_those_of_two_other_readers(data: Path) -> None:
    path = data / "espresso_scf.out"
    (frame,) = read(path)
    image = ase_read(path, format="espresso-out")
    assert frame.label.stress is not None
    assert frame.label.energy == pytest.approx(image.get_potential_energy(), CONSTANTS)
    assert np.allclose(frame.label.forces, image.get_forces(), rtol=1e-6, atol=0)
    assert np.allclose(frame.label.stress, image.get_stress(), rtol=1e-6, atol=1e-12)
    ours = espresso.read(None, image, path.parent, path.read_text())  # type: ignore[arg-type]
    assert frame.label.energy == ours.energy
    assert np.array_equal(frame.label.forces, ours.forces)
    assert ours.stress is not None
    assert np.array_equal(frame.label.stress, ours.stress)


def test_stress_is_the_opposite_of_the_pressure_that_pw_x_prints(data: Path) -> None:
    path = data / "espresso_scf.out"
    (frame,) = read(path)
    pressure = float(path.read_text().split("(kbar)     P=")[1].split()[0])
    assert frame.label.stress is not None
    assert -frame.label.stress[:3].mean() / (0.1 * GPa) == pytest.approx(
        pressure, abs=0.02
    )


def test_a_stress_of_gth_files_with_p_projectors_is_left_out(
    data: Path, tmp_path: Path
) -> None:
    text = (data / "espresso_scf.out").read_text()
    changed = tmp_path / "si.out"
    changed.write_text(
        text.replace("for Li read", "for Si read").replace("Li.g", "Si.g")
    )
    (left,) = read(data / "espresso_scf.out")
    (frame,) = read(changed)
    assert frame.label.stress is None
    assert frame.label.energy == left.label.energy
    changed.write_text(
        text.replace("for Li read", "for Si read").replace("Li.gth", "Si.UPF")
    )
    (kept,) = read(changed)
    assert kept.label.stress is not None


def test_the_structure_is_the_one_of_the_input(data: Path) -> None:
    (frame,) = read(data / "espresso_scf.out")
    given = ase_read(data / "espresso_scf.in", format="espresso-in")
    assert frame.atoms.get_chemical_symbols() == given.get_chemical_symbols()
    assert np.allclose(frame.atoms.positions, given.positions, atol=1e-6)
    assert np.allclose(frame.atoms.cell, given.cell, atol=1e-5)
    assert frame.atoms.calc is None
    assert frame.atoms.pbc.all()


def test_the_theory_is_what_the_output_states(data: Path) -> None:
    (frame,) = read(data / "espresso_scf.out")
    assert isinstance(frame.theory, Theory)
    assert (frame.theory.code, frame.theory.version) == ("espresso", "6.7")
    settings = json.loads(frame.theory.settings_json)
    assert settings["functional"] == "PBE"
    assert settings["cutoff_ry"] == 30.0
    assert settings["density_cutoff_ry"] == 120.0
    assert settings["k_points"] == "2x2x2 shifted 1,1,1"
    assert settings["pseudopotentials"] == {
        "Li": "Li.gth md5:1fa24d9e9bf06cadecdba37c7e187c5a",
        "H": "H.gth md5:8cc3e8bc1c412a79ff7a9adc4330e0a2",
    }
    assert any("DFT-D3" in remark for remark in settings["remarks"])


def test_a_step_that_pw_x_calls_converged_and_is_not_is_refused(data: Path) -> None:
    path = data / "espresso_mixed.out"
    assert "NOT achieved" not in path.read_text()  # pw.x 6.7 does not say so itself
    taken, refused = split(path)
    assert refused == {0: "not_converged"}
    images = ase_read(path, index=":", format="espresso-out")
    assert [frame.number for frame in taken] == [1, 2]
    for frame in taken:
        image = images[frame.number]
        assert np.allclose(frame.atoms.positions, image.positions)
        assert np.allclose(frame.label.forces, image.get_forces(), rtol=1e-6, atol=0)


def test_what_stopped_before_convergence_or_forces_is_refused(data: Path) -> None:
    assert split(data / "espresso_stuck.out") == ([], {0: "not_converged"})
    assert split(data / "espresso_vcrelax.out") == ([], {0: "no_forces"})


def test_a_cell_that_changes_is_followed(data: Path, tmp_path: Path) -> None:
    """Written, not computed: the real relaxation with a cell put before a step."""
    text = (data / "espresso_mixed.out").read_text()
    block = (
        "CELL_PARAMETERS (angstrom)\n 4.1 0.0 0.0\n 0.3 4.2 0.0\n 0.0 0.0 4.3\n\n"
        "ATOMIC_POSITIONS (angstrom)"
    )
    path = tmp_path / "vc.out"
    path.write_text(text.replace("ATOMIC_POSITIONS (angstrom)", block, 1))
    one, two = split(path)[0]
    assert np.allclose(one.atoms.cell.diagonal(), [4.1, 4.2, 4.3])
    assert np.allclose(two.atoms.cell.diagonal(), [4.0, 4.1, 4.2])


@pytest.mark.parametrize("mesh", [(1, 1, 1), (4, 4, 4), (3, 2, 5), (12, 8, 6)])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_mesh_is_known_by_its_irreducible_points(
    mesh: tuple[int, int, int], shift: int
) -> None:
    """Without symmetry but k and -k: half of the points say what all say."""
    grids = [(np.arange(n) + shift / 2) / n for n in mesh]
    points = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 3)
    points -= np.rint(points)
    keep = [p for p in points if tuple(p) >= tuple(-p)]
    words = "x".join(map(str, mesh)) + (" shifted 1,1,1" if shift else "")
    assert describe_mesh(keep) == words


def test_a_list_of_points_is_told_from_another() -> None:
    one, two = [[0.1234567, 0, 0]], [[0.1334567, 0, 0]]
    assert describe_mesh(one).startswith("list of 1 points")
    assert describe_mesh(one) != describe_mesh(two)
