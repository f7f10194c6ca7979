"""Every export predicts the same when loaded, or nothing is left behind."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk
from ase.data import chemical_symbols

from fire_core.backbones.assets import bundled_model
from fire_core.backbones.export import (
    TOLERANCES,
    ExportFormat,
    example_frames,
    export_model,
)
from fire_core.backbones.ghosts import copy_ghosts, fold_forces, surround
from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.mace_networks import build_network
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import TrainConfig
from fire_core.errors import BackboneError
from tests.models import load_mini

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms


@pytest.fixture(scope="module")
def fire_mini() -> MaceBackbone:
    return load_mini()


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    rng = np.random.default_rng(0)
    made = [bulk("LiCl", "rocksalt", a=5.15), bulk("GaN", "zincblende", a=4.5)]
    for atoms in made:
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return made


@pytest.mark.parametrize("format_", sorted(MaceBackbone.formats))
def test_each_format_predicts_the_same_when_loaded(
    format_: ExportFormat, fire_mini: MaceBackbone, frames: list[Atoms], tmp_path: Path
) -> None:
    path = tmp_path / "out" / "model"
    result = export_model(fire_mini, format_, path, frames=frames)
    assert path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["model"]
    assert result.energy_difference <= TOLERANCES["float64"][0]
    assert result.force_difference <= TOLERANCES["float64"][1]
    assert str(path) in result.usage
    in_lammps = format_ in {ExportFormat.LAMMPS, ExportFormat.LAMMPS_MLIAP}
    assert ("not run inside LAMMPS" in result.unchecked) == in_lammps
    if format_ is ExportFormat.TORCH_SIM:
        there = importlib.util.find_spec("torch_sim") is not None
        assert (result.unchecked == "") == there


def test_where_torch_sim_is_not_installed_its_export_says_what_was_not_checked(
    fire_mini: MaceBackbone,
    frames: list[Atoms],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch_sim", None)
    path = tmp_path / "folder"
    result = export_model(fire_mini, ExportFormat.TORCH_SIM, path, frames=frames)
    assert result.checked == "its model.mace loaded as a MACE model"
    assert "not run by torch-sim" in result.unchecked
    assert "fire-mlip[torch-sim]" in result.unchecked
    assert (path / "torch_sim_model.py").is_file()


def test_a_model_file_is_copied_byte_for_byte(
    fire_mini: MaceBackbone, frames: list[Atoms], tmp_path: Path
) -> None:
    path = tmp_path / "copy.mace"
    export_model(
        fire_mini, ExportFormat.MACE, path, frames=frames, source=bundled_model()
    )
    assert path.read_bytes() == bundled_model().read_bytes()


def test_the_ase_folder_works_without_fire(
    fire_mini: MaceBackbone, frames: list[Atoms], tmp_path: Path
) -> None:
    export_model(fire_mini, ExportFormat.ASE, tmp_path / "model", frames=frames)
    code = (
        "import sys; from calculator import calculator; from ase.build import bulk; "
        "atoms = bulk('LiCl', 'rocksalt', a=5.15); atoms.calc = calculator(); "
        "assert 'fire_core' not in sys.modules; print(atoms.get_potential_energy())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path / "model",
        capture_output=True,
        text=True,
        check=True,
    )
    energy = fire_mini.predict([bulk("LiCl", "rocksalt", a=5.15)])[0].energy
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(energy, abs=1e-6)


def test_of_two_heads_the_one_that_predicts_here_is_written(
    fire_mini: MaceBackbone, frames: list[Atoms], tmp_path: Path
) -> None:
    """mace-torch's own converters take the last head."""
    network = build_network(
        fire_mini, TrainConfig(strategy="multihead_replay"), [], seed=0
    )
    network.atomic_energies_fn.atomic_energies[1] += 1.0
    two = MaceBackbone(
        network, name="two", sha256="2" * 64, device="cpu", dtype="float64"
    )
    for format_ in (ExportFormat.LAMMPS_MLIAP, ExportFormat.ASE):
        result = export_model(two, format_, tmp_path / format_, frames=frames[:1])
        assert result.energy_difference <= TOLERANCES["float64"][0]


def test_what_does_not_predict_the_same_is_refused_and_removed(
    fire_mini: MaceBackbone, frames: list[Atoms], tmp_path: Path
) -> None:
    parted = MaceBackbone(
        copy.deepcopy(fire_mini.model),
        name="parted",
        sha256="3" * 64,
        device="cpu",
        dtype="float64",
    )
    parted.fast = copy.deepcopy(parted.fast)
    parted.fast.scale_shift.scale.mul_(1.001)
    with pytest.raises(
        BackboneError, match=r"parted written as ase does not predict the same.*left"
    ):
        export_model(parted, ExportFormat.ASE, tmp_path / "model", frames=frames)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_other_models_are_refused(
    fire_mini: MaceBackbone, tmp_path: Path
) -> None:
    (tmp_path / "here").write_text("precious")
    with pytest.raises(BackboneError, match="exists; delete it or choose another"):
        export_model(fire_mini, ExportFormat.MACE, tmp_path / "here")
    assert (tmp_path / "here").read_text() == "precious"
    chgnet = load_backbone("chgnet", device="cpu")
    with pytest.raises(
        BackboneError,
        match=r"chgnet cannot be written as lammps:.*ase or chgnet or neu",
    ):
        export_model(chgnet, ExportFormat.LAMMPS, tmp_path / "there")
    with pytest.raises(BackboneError, match="fire-mini cannot be written as chgnet"):
        export_model(fire_mini, ExportFormat.CHGNET, tmp_path / "there")


@pytest.mark.parametrize("n_elements", [1, 2, 9, 44, 94])
def test_example_structures_hold_each_element_and_all_have_neighbours(
    n_elements: int,
) -> None:
    class Knows:
        elements = frozenset(chemical_symbols[1 : n_elements + 1])

    model: Any = Knows()
    frames = example_frames(model)
    assert {s for f in frames for s in f.get_chemical_symbols()} == Knows.elements
    assert len(frames) <= 2 * (n_elements // 8 + 1)
    for frame in frames:
        distances = frame.get_all_distances(mic=True) + 9.0 * np.eye(8)
        assert distances.min() > 0.8
        assert distances.min(axis=1).max() < 4.5


def test_ghosts_are_the_images_within_reach() -> None:
    """Counted on a simple cubic lattice: 6 first and 12 second neighbours."""
    atoms = bulk("Po", "sc", a=3.0)
    cluster = surround(atoms, 4.5)
    assert len(cluster.atoms) == 1 + 6 + 12
    assert cluster.is_local.sum() == 1
    assert fold_forces(np.ones((19, 3)), cluster.owner, 1).tolist() == [[19.0] * 3]
    pairs = copy_ghosts(atoms, 3.1, ["H", "Po"])
    assert (pairs.nlocal, pairs.ntotal, pairs.npairs) == (1, 7, 6)
    assert pairs.elems.tolist() == [1] * 7
    assert np.allclose(np.linalg.norm(pairs.rij, axis=1), 3.0)
