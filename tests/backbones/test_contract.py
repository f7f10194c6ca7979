"""What every backbone keeps to: symmetries, forces as gradients, clear refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.base import Backbone, pack_by_atoms
from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.registry import load_backbone
from fire_core.errors import BackboneError, StructureError, UnknownElementError

if TYPE_CHECKING:
    from ase import Atoms

ENERGY = 2e-5  # eV, double precision of models trained in single
FORCE = 2e-4  # eV/Å


def load(name: str) -> Backbone:
    return load_backbone(name, device="cpu", dtype="float64", threads=1)


@pytest.fixture(scope="module", params=["fire-mini", "chgnet"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return load(request.param)


@pytest.fixture(scope="module")
def fire_mini() -> Backbone:
    return load("fire-mini")


@pytest.fixture
def atoms() -> Atoms:
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    salt.symbols[0] = "Na"
    salt.positions += np.random.default_rng(0).normal(0, 0.1, salt.positions.shape)
    return salt


def tolerance(backbone: Backbone) -> float:
    """CHGNet is single precision."""
    return 1.0 if backbone.name == "fire-mini" else 30.0


def test_energy_is_invariant_and_forces_turn_with_the_crystal(
    backbone: Backbone, atoms: Atoms
) -> None:
    turned = atoms.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    turned.positions += [0.3, -1.7, 2.2]
    order = np.random.default_rng(1).permutation(len(atoms))
    shuffled = atoms[order]
    plain, rotated, permuted = backbone.predict([atoms, turned, shuffled])
    scale = tolerance(backbone)
    assert rotated.energy == pytest.approx(plain.energy, abs=scale * ENERGY)
    assert permuted.energy == pytest.approx(plain.energy, abs=scale * ENERGY)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array)
    assert np.allclose(plain.forces @ rotation, rotated.forces, atol=scale * FORCE)
    assert np.allclose(plain.forces[order], permuted.forces, atol=scale * FORCE)


def test_a_doubled_cell_has_twice_the_energy_and_the_same_stress(
    backbone: Backbone, atoms: Atoms
) -> None:
    one, two = backbone.predict([atoms, atoms * (1, 2, 1)])
    scale = tolerance(backbone)
    assert two.energy == pytest.approx(2 * one.energy, abs=2 * scale * ENERGY)
    assert one.stress is not None
    assert two.stress is not None
    assert np.allclose(one.stress, two.stress, atol=scale * 1e-5)


def test_forces_and_stress_are_derivatives_of_the_energy(
    fire_mini: Backbone, atoms: Atoms
) -> None:
    step = 1e-3
    label = fire_mini.predict([atoms])[0]
    assert label.stress is not None
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        moved = [atoms.copy(), atoms.copy()]
        for sign, copy in zip((1, -1), moved, strict=True):
            copy.positions[atom, axis] += sign * step
        up, down = (p.energy for p in fire_mini.predict(moved))
        assert label.forces[atom, axis] == pytest.approx(
            -(up - down) / (2 * step), abs=1e-3
        )
    strained = []
    for sign in (1, -1):
        copy = atoms.copy()
        strain = np.eye(3)
        strain[2, 2] += sign * step
        copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
        strained.append(copy)
    up, down = (p.energy for p in fire_mini.predict(strained))
    slope = (up - down) / (2 * step) / atoms.get_volume()
    assert label.stress[2] == pytest.approx(slope, abs=2e-4)


def test_calculator_and_batches_agree_with_single_predictions(
    backbone: Backbone, atoms: Atoms
) -> None:
    frames = [atoms, atoms * (2, 1, 1), atoms]
    together = backbone.predict(frames, batch_atoms=20)
    alone = [backbone.predict([frame])[0] for frame in frames]
    for a, b in zip(together, alone, strict=True):
        assert a.energy == pytest.approx(b.energy, abs=tolerance(backbone) * ENERGY)
    work = atoms.copy()
    work.calc = backbone.calculator()
    assert work.get_potential_energy() == pytest.approx(alone[0].energy, abs=1e-9)
    assert np.allclose(work.get_forces(), alone[0].forces)
    assert alone[0].stress is not None
    assert np.allclose(work.get_stress(), alone[0].stress)


def test_batched_dynamics_sees_every_image_of_a_cell_below_the_cutoff(
    fire_mini: Backbone,
) -> None:
    import torch
    import torch_sim as ts

    cell = bulk("LiCl", "rocksalt", a=5.0)  # 3.5 Å vectors, cutoff 4.5 Å
    cell.positions[1] += [0.1, 0.05, -0.02]
    model = fire_mini.torch_sim_model()
    state = ts.io.atoms_to_state([cell, cell * (2, 1, 1)], model.device, torch.float64)
    output = model(state)
    for energy, frame in zip(output["energy"], (cell, cell * (2, 1, 1)), strict=True):
        expected = fire_mini.predict([frame])[0]
        assert float(energy) == pytest.approx(expected.energy, abs=1e-4)
    assert np.allclose(
        output["forces"].detach().numpy()[:2],
        fire_mini.predict([cell])[0].forces,
        atol=1e-5,
    )


def test_total_energies_keep_their_digits_in_single_precision(
    fire_mini: Backbone, atoms: Atoms
) -> None:
    """A shift of 10⁴ eV per atom must not cost digits of the energy."""
    import torch

    assert isinstance(fire_mini, MaceBackbone)
    single = load_backbone("fire-mini", device="cpu", dtype="float32", threads=1)
    assert isinstance(single, MaceBackbone)
    before = single.predict([atoms])[0].energy
    energies = single.model.atomic_energies_fn.atomic_energies
    energies.data = energies.data.double().round() + 1e4
    original = fire_mini.model.atomic_energies_fn.atomic_energies
    rounding = original.double().round() - original.double()
    counts = torch.tensor(
        [int((atoms.numbers == z).sum()) for z in single.numbers], dtype=torch.float64
    )
    after = single.predict([atoms])[0].energy
    expected = before + float((counts * rounding.reshape(-1)).sum()) + 1e4 * len(atoms)
    assert after == pytest.approx(expected, abs=1e-4)


def test_an_unknown_element_is_named_with_its_frame(fire_mini: Backbone) -> None:
    frames = [bulk("LiCl", "rocksalt", a=5.1), bulk("PuO", "rocksalt", a=5.0)]
    with pytest.raises(UnknownElementError, match=r"does not know Pu in frame 1 \(OPu"):
        fire_mini.predict(frames)


def test_a_position_that_is_not_finite_is_refused_at_once(
    fire_mini: Backbone, atoms: Atoms
) -> None:
    atoms.positions[2, 0] = np.nan
    with pytest.raises(StructureError, match="not finite"):
        fire_mini.predict([atoms])


@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, False)])
def test_open_boundaries_leave_the_callers_cell_alone(
    fire_mini: Backbone, atoms: Atoms, pbc: tuple[bool, bool, bool]
) -> None:
    """A cell without periodicity is replaced in the graph, not in the structure."""
    atoms.set_pbc(pbc)
    atoms.cell[2] = 0.0
    before = atoms.cell.array.copy()
    turned = atoms.copy()
    turned.rotate(90, "z", rotate_cell=True)
    plain, other = fire_mini.predict([atoms, turned])
    assert np.array_equal(before, atoms.cell.array)
    assert np.isfinite(plain.forces).all()
    assert other.energy == pytest.approx(plain.energy, abs=ENERGY)


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(BackboneError, match=r"unknown backbone 'mace-xl'.*fire-mini"):
        load_backbone("mace-xl")


def test_a_published_model_that_cannot_be_fetched_says_how_to_bring_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """The download itself is real; only the way out is closed."""
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        msg = "no route to host"
        raise OSError(msg)

    monkeypatch.setattr(urllib.request, "urlretrieve", offline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BackboneError, match=r"medium-mpa-0.*set backbone.name to its"):
        load_backbone("medium-mpa-0")


def test_a_file_that_is_no_model_is_refused(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "notes.model"
    path.write_bytes(b"not a model")
    with pytest.raises(BackboneError, match="is not a MACE model"):
        load_backbone(str(path))


@pytest.mark.parametrize(
    ("sizes", "most", "batches"),
    [
        ([3, 3, 3], 6, [[0, 1], [2]]),
        ([9, 1, 1], 6, [[0], [1, 2]]),
        ([], 6, []),
        ([6, 6], 6, [[0], [1]]),
    ],
)
def test_batches_are_packed_by_atoms(
    sizes: list[int], most: int, batches: list[list[int]]
) -> None:
    assert list(pack_by_atoms(sizes, most)) == batches
