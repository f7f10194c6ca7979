"""fire-mini and CHGNet keep to their contracts; what is particular to each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.base import (
    Backbone,
    drives_dynamics,
    has_features,
    need_dynamics,
    need_features,
    pack_by_atoms,
)
from fire_core.backbones.registry import (
    known_elements,
    load_backbone,
    package_of,
)
from fire_core.backbones.systems import frames_to_state
from fire_core.backbones.trainable import OPTIONAL, need_trainable
from fire_core.errors import BackboneError, StructureError, UnknownElementError
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from tests.models import load_mini
from tests.training.conftest import make_backbone, rattled

if TYPE_CHECKING:
    from ase import Atoms

ENERGY = 2e-5  # eV, double precision of models trained in single


def load(name: str) -> Backbone:
    return load_backbone(name, device="cpu", dtype="float64", threads=1)


@pytest.fixture(scope="module")
def fire_mini() -> Backbone:
    return load("fire-mini")


@pytest.fixture(scope="module")
def chgnet() -> Backbone:
    return load("chgnet")


@pytest.fixture(scope="module")
def random_mace() -> Backbone:
    return make_backbone(dtype="float64", hidden="8x0e+8x1o")


@pytest.fixture
def atoms() -> Atoms:
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    salt.symbols[0] = "Na"
    salt.positions += np.random.default_rng(0).normal(0, 0.1, salt.positions.shape)
    return salt


class TestFireMini(
    BackboneContract, FeaturesContract, DynamicsContract, TrainableContract
):
    supported = OPTIONAL

    @pytest.fixture
    def backbone(self, fire_mini: Backbone) -> Backbone:
        return fire_mini


class TestRandomMace(
    BackboneContract, FeaturesContract, DynamicsContract, TrainableContract
):
    """Vector features and random weights, as no published model has them."""

    supported = OPTIONAL

    @pytest.fixture
    def backbone(self, random_mace: Backbone) -> Backbone:
        return random_mace

    @pytest.fixture
    def atoms(self) -> Atoms:
        (crystal,) = rattled("LiF", 1, 2)
        return crystal


class TestChgnet(
    BackboneContract, FeaturesContract, DynamicsContract, TrainableContract
):
    """In double precision; `test_chgnet` compares it with its package's single."""

    supported = ("scratch", "freeze", "warm_start")
    rate = 1e-4
    nudge = 1e-6  # its bases of up to 31 waves bend soon: 4 % off at 1e-4

    @pytest.fixture
    def backbone(self, chgnet: Backbone) -> Backbone:
        return chgnet


def test_what_a_model_has_not_got_is_said_with_a_remedy() -> None:
    class Bare:
        name = "bare"

    bare = Bare()
    assert not has_features(bare)
    assert not drives_dynamics(bare)
    remedy = "such as fire-mini"
    with pytest.raises(BackboneError, match=f"mace needs features.*{remedy}"):
        need_features(bare, "select.descriptor: mace")
    with pytest.raises(BackboneError, match=f"cannot drive batched dynamics.*{remedy}"):
        need_dynamics(bare)
    with pytest.raises(BackboneError, match=f"bare cannot be fine-tuned.*{remedy}"):
        need_trainable(bare)


def test_elements_and_packages_are_known_without_loading(
    fire_mini: Backbone, chgnet: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (package_of("fire-mini"), package_of("chgnet")) == ("mace-torch", "chgnet")

    def refuse(*_: object, **__: object) -> Backbone:
        raise AssertionError

    monkeypatch.setattr("fire_core.backbones.registry.load_backbone", refuse)
    assert known_elements("fire-mini") == fire_mini.elements
    assert known_elements("chgnet") == chgnet.elements


def test_batched_dynamics_sees_every_image_of_a_cell_below_the_cutoff() -> None:
    import torch

    fire_mini = load_mini()
    cell = bulk("LiCl", "rocksalt", a=5.0)  # 3.5 Å vectors, cutoff 4.5 Å
    cell.positions[1] += [0.1, 0.05, -0.02]
    model = fire_mini.batched_model()
    state = frames_to_state(
        [cell, cell * (2, 1, 1)], device=model.device, dtype=torch.float64
    )
    output = model(state)
    for energy, frame in zip(output["energy"], (cell, cell * (2, 1, 1)), strict=True):
        expected = fire_mini.predict([frame])[0]
        assert float(energy) == pytest.approx(expected.energy, abs=1e-4)
    assert np.allclose(
        output["forces"].detach().numpy()[:2],
        fire_mini.predict([cell])[0].forces,
        atol=1e-5,
    )


def test_total_energies_keep_their_digits_in_single_precision(atoms: Atoms) -> None:
    """A shift of 10⁴ eV per atom must not cost digits of the energy."""
    import torch

    single = load_mini("float32")
    before = single.predict([atoms])[0].energy
    energies = single.model.atomic_energies_fn.atomic_energies
    energies.data = energies.data.double().round() + 1e4
    original = load_mini().model.atomic_energies_fn.atomic_energies
    rounding = original.double().round() - original.double()
    counts = torch.tensor(
        [int((atoms.numbers == z).sum()) for z in single.numbers], dtype=torch.float64
    )
    after = single.predict([atoms])[0].energy
    expected = before + float((counts * rounding.reshape(-1)).sum()) + 1e4 * len(atoms)
    assert after == pytest.approx(expected, abs=1e-4)


def test_an_unknown_element_is_named_with_its_formula(fire_mini: Backbone) -> None:
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
