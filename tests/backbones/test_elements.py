"""`adapt: elements`: which weights belong to an element, and what that promises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk
from pydantic import ValidationError

from fire_core.backbones import mace_networks
from fire_core.backbones.kernels.mixing import find_sites
from fire_core.backbones.mace_elements import element_masks
from fire_core.backbones.sevennet_weights import adapt_elements, to_neutral
from fire_core.backbones.trainable import OPTIONAL
from fire_core.config.training import TrainConfig
from fire_core.errors import TrainingError
from fire_core.records import Label, LabelledStructure
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from fire_core.training.batches import Examples
from fire_core.training.data import TrainingData
from fire_core.training.replay import prepare_replay
from fire_core.training.stepping import Stepper
from fire_core.training.trainer import fine_tune
from tests.backbones.faults import failed
from tests.models import load_mini, small_sevennet
from tests.training.conftest import make_backbone

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from ase import Atoms

    from fire_core.backbones.sevennet import SevennetBackbone

PROMISE = "of_other_elements_nothing_changes_where_elements_are_adapted"


def labelled(frames: list[Atoms], backbone: Any) -> list[LabelledStructure]:
    """Return frames with labels near those of a backbone."""
    return [
        LabelledStructure(str(i), f, replace(label, forces=1.3 * label.forces), "t")
        for i, (f, label) in enumerate(
            zip(frames, backbone.predict(frames), strict=True)
        )
    ]


def salt(symbols: str = "LiCl") -> Atoms:
    crystal = bulk(symbols, "rocksalt", a=5.1, cubic=True)
    crystal.positions += np.random.default_rng(0).normal(
        0, 0.1, crystal.positions.shape
    )
    return crystal


def with_own_weights(symbols: set[str]) -> SevennetBackbone:
    """Return a small SevenNet whose elements differ more than a training makes them."""
    import torch

    small = small_sevennet()
    small.model = adapt_elements(small.model, symbols)
    torch.manual_seed(5)
    for name, parameter in small.model.named_parameters():
        if ".own_" in name:
            parameter.data = 0.5 * torch.randn_like(parameter)
    return small


def slopes(backbone: Any, atoms: Atoms) -> dict[str, torch.Tensor]:
    """Return the derivative of a structure's energy by every weight of a MACE."""
    network = backbone.network(TrainConfig(strategy="naive"), [], seed=1)
    network.forward([network.graph(atoms)], stress=False).energy.sum().backward()
    return {n: p.grad for n, p in network.module.named_parameters()}


@pytest.mark.parametrize("kind", ["bundled", "vectors"])
def test_an_elements_weights_are_those_that_only_its_atoms_feel(kind: str) -> None:
    """The second implementation is torch's derivative of the energy of a salt."""
    if kind == "bundled":
        backbone, symbols = load_mini(), ("LiCl", "NaF")
    else:
        backbone = make_backbone(dtype="float64", hidden="8x0e+8x1o")
        symbols = ("LiF", "")
    theirs, others = symbols
    table = [int(z) for z in backbone.model.atomic_numbers]
    kinds = [table.index(z) for z in set(salt(theirs).numbers.tolist())]
    masks = element_masks(backbone.model, kinds)
    assert {n.partition(".")[0] for n in masks} == {
        *("node_embedding", "interactions", "products")
    }
    felt = slopes(backbone, salt(theirs))
    for name, mask in masks.items():
        assert not felt[name][mask == 0].any()
        assert felt[name][mask == 1].any()
    if others:
        for name, slope in slopes(backbone, salt(others)).items():
            if name in masks:
                assert not slope[masks[name] == 1].any()
                assert slope[masks[name] == 0].any()


def test_a_backbone_that_trains_more_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train_all(model: Any, kinds: Any) -> None:
        """Leave every weight as trainable as it was."""

    class Trains(TrainableContract):
        supported = OPTIONAL

    sound = load_mini("float64")
    assert failed(Trains(), sound, tmp_path / "sound", only=[PROMISE]) == set()
    monkeypatch.setattr(mace_networks, "train_elements_alone", train_all)
    assert failed(Trains(), sound, tmp_path / "all", only=[PROMISE]) == {PROMISE}


def test_a_sevennet_with_weights_of_elements_computes_what_it_did() -> None:
    small = small_sevennet()
    (before,) = small.predict([salt()])
    small.model = adapt_elements(small.model, {"Li", "Cl"})
    (after,) = small.predict([salt()])
    assert after.energy == before.energy
    assert np.allclose(after.forces, before.forces, rtol=0, atol=1e-13)


class TestAdaptedSevennet(BackboneContract, FeaturesContract, DynamicsContract):
    """Li and Cl have weights of their own, which count less beside the sodium."""

    @pytest.fixture
    def backbone(self) -> SevennetBackbone:
        return with_own_weights({"Li", "Cl"})

    @pytest.fixture
    def atoms(self) -> Atoms:
        crystal = salt()
        crystal.symbols[0] = "Na"
        return crystal


@pytest.mark.parametrize(("distance", "factor"), [(3.0, None), (4.0, 1.0), (7.0, 1.0)])
def test_own_weights_give_way_to_other_elements_and_to_nothing_else(
    distance: float, factor: float | None
) -> None:
    """Of one neighbour: exp(-2 (1 - (r/4)²)³), which is 0.846 at 3 Å."""
    import torch

    kinds = torch.tensor([1, 1, 3])
    vectors = torch.tensor([[1.5, 0, 0], [distance, 0, 0]], dtype=torch.float64)
    pairs = torch.tensor([[0, 2], [1, 0]])
    sites = find_sites(kinds, vectors, pairs, (0, 1), 4.0)
    assert sites is not None
    assert (sites.kinds, sites.counts, sites.atoms.tolist()) == ([1], [2], [0, 1])
    expected = factor or np.exp(-2 * (1 - 9 / 16) ** 3)
    assert sites.weight is not None
    assert sites.weight.tolist() == pytest.approx([expected, 1.0], abs=1e-15)
    assert find_sites(kinds[2:], vectors[:0], pairs[:, :0], (0, 1), 4.0) is None


def test_a_crowd_of_other_elements_leaves_what_was_before() -> None:
    """A lithium in NaF: its weights of its own would change its force by far more."""
    crystal = bulk("NaF", "rocksalt", a=3.4, cubic=True) * (2, 2, 2)
    crystal.positions += np.random.default_rng(0).normal(
        0, 0.1, crystal.positions.shape
    )
    lithium = crystal.copy()
    lithium.symbols[0] = "Li"
    shared, adapted = small_sevennet(), with_own_weights({"Li", "Cl"})
    before, after = (model.predict([lithium])[0] for model in (shared, adapted))
    assert np.abs(after.forces - before.forces).max() < 2e-2
    alone = with_own_weights({"Li", "Na", "F"}).predict([lithium])[0]
    assert np.abs(alone.forces - before.forces).max() > 0.2


def test_adapted_elements_are_kept_and_others_are_refused_beside_them() -> None:
    """Beside new ones the old would no longer give way: another function."""
    small = with_own_weights({"Li", "Cl"})
    again = adapt_elements(small.model, {"Li"})
    theirs = to_neutral(small.model, {}).tensors
    for name, value in to_neutral(again, {}).tensors.items():
        assert bool((theirs[name] == value).all())
    with pytest.raises(TrainingError, match=r"of its own for Cl, Li.*give way to Na"):
        adapt_elements(small.model, {"Li", "Na"})


def test_an_element_whose_frames_were_all_held_back_is_the_targets_too(
    tmp_path: Path,
) -> None:
    """Else its atoms would switch off their neighbours' weights."""
    small = small_sevennet()
    items = labelled([salt(), salt("NaF")], small)
    config = TrainConfig(strategy="naive", epochs=1)
    tuned = fine_tune(small, TrainingData(items[:1], items[1:], [], []), config, seed=1)
    (tmp_path / "tuned").write_bytes(tuned.model)
    assert small.reload(tmp_path / "tuned").model.setting.adapted == (0, 1, 2, 3)
    assert tuned.adapted == ("Cl", "F", "Li", "Na")


def test_elements_that_a_step_has_not_move_alike_on_any_number_of_devices() -> None:
    """Their gradient is zero, not absent, for which Adam would do nothing."""
    import torch
    from torch_ema import ExponentialMovingAverage

    small = small_sevennet()
    metal = bulk("Li", "bcc", a=3.4, cubic=True)
    items = labelled([salt(), metal], small)
    network = small.network(TrainConfig(strategy="naive"), items, seed=1)
    examples = Examples(network, items)
    weights = [p for p in network.module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    stepper = Stepper(
        network,
        optimizer,
        ExponentialMovingAverage(weights, decay=0.5),
        TrainConfig(strategy="naive"),
        device=small.device,
        dtype=small.dtype,
    )
    for i in range(2):
        stepper.step([examples[i]])
    counts = {int(optimizer.state[p]["step"]) for p in weights}
    assert counts == {2}


def test_what_shares_no_element_is_not_rehearsed() -> None:
    small = small_sevennet()
    target, replay = labelled([salt()], small), labelled([salt("NaF")], small)
    config = TrainConfig()
    assert prepare_replay(small, replay, target, config) == []
    tuned = fine_tune(
        small, TrainingData(target, target, replay, []), TrainConfig(epochs=2), seed=1
    )
    assert [record.n_replay for record in tuned.records] == [0, 0]
    everything = TrainConfig(strategy="naive", adapt="all", epochs=1)
    free = fine_tune(small, TrainingData(target, [], [], []), everything, seed=1)
    assert (tuned.adapted, free.adapted) == (("Cl", "Li"), None)
    asked = TrainConfig(adapt="elements")
    with pytest.raises(
        TrainingError, match=r"element with Cl, Li; set strategy: naive"
    ):
        prepare_replay(small, replay, target, asked)


def test_a_round_goes_on_from_the_weights_of_elements(tmp_path: Path) -> None:
    """Warm start: the reference energies are the foundation's, all else the model's."""
    import torch

    small = small_sevennet()
    items = [LabelledStructure("k", salt(), Label(0.0, np.zeros((8, 3))), "t")]
    config = TrainConfig(strategy="naive", adapt="elements", warm_start=True)
    network = small.network(config, items, seed=1)
    weights = [torch.full_like(p, 0.1) for p in network.module.parameters()]
    trained = [
        w
        for w, p in zip(weights, network.module.parameters(), strict=True)
        if p.requires_grad
    ]
    (tmp_path / "m").write_bytes(network.export(trained, {"Li": 1.0}))
    again = small.network(config, items, seed=1, start=small.reload(tmp_path / "m"))
    for name, parameter in again.module.named_parameters():
        wanted = 0.1 if parameter.requires_grad else network.module.get_parameter(name)
        assert bool((parameter == wanted).all())
    assert torch.equal(again.module.shift, small.model.shift)


@pytest.mark.parametrize(
    ("other", "elements"),
    [
        ({}, True),
        ({"adapt": "all"}, False),
        ({"freeze": ["readouts"]}, False),
        ({"strategy": "scratch"}, False),
        ({"weight_decay": 1e-4}, False),
    ],
)
def test_left_to_itself_sevennet_adapts_elements_and_mace_does_not(
    other: dict[str, Any], elements: bool
) -> None:
    config = TrainConfig.model_validate({"strategy": "naive"} | other)
    items = [LabelledStructure("k", salt(), Label(0.0, np.zeros((8, 3))), "t")]
    for backbone, expected in ((small_sevennet(), elements), (load_mini(), False)):
        module = backbone.network(config, items, seed=1).module
        trained = [n for n, p in module.named_parameters() if p.requires_grad]
        assert trained
        assert all(".own_" in name for name in trained) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"strategy": "scratch"},
        {"strategy": "multihead_replay"},
        {"lora": {"rank": 1}},
        {"weight_decay": 1e-4},
        {"freeze": ["readouts"]},
    ],
)
def test_what_does_not_go_together_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="adapt: elements does not go with"):
        TrainConfig.model_validate({"adapt": "elements"} | other)
