"""The published MACE models' architectures, with random weights, in all FIRE does.

At their published size where that is the point; else with 8 channels, and all else as
published: 89 elements, cutoff, harmonics, correlation, blocks, repulsion.
"""

from __future__ import annotations

import copy
import os
import warnings
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.backbones.export import TOLERANCES, ExportFormat, export_model
from fire_core.backbones.kernels.cuequivariance import from_cuequivariance
from fire_core.backbones.mace import MaceBackbone, load_mace
from fire_core.backbones.mace_architectures import ARCHITECTURES, random_mace
from fire_core.backbones.registry import MACE_NAMES
from fire_core.backbones.trainable import OPTIONAL
from fire_core.config.steps import DynamicsConfig
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.evaluation.errors import summarise_errors
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.committees import BatchedSpread
from fire_core.exploration.dynamics import start_states
from fire_core.exploration.parts import PartLimit
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from fire_core.testing.backbones.networks import trained_weights
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune
from fire_core.uncertainty.estimate import CommitteeEstimator, build_last_layer
from fire_core.uncertainty.last_layer import sum_features

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import Label

ROUNDING: Final = 1e-9  # eV, eV/Å, eV/Å³ in double precision, energies of some 10 eV
KINDS: Final = {
    replace(built, source="", n_weights=None): name
    for name, built in reversed(ARCHITECTURES.items())
}
DISTINCT: Final = list(KINDS.values())[::-1]
"""The first name of every architecture."""


LONG: Final = frozenset({"small", "large", "medium-0b"})
"""Tried by `make test-long`: with the quick ones, one of each kind of block."""
ASKED: Final = os.environ.get("FIRE_TEST_ARCHITECTURES", "")
"""`all`, or names with commas: the others that are tried then."""


def quick(*names: str) -> list[Any]:
    """Return every architecture, all but some of them for `make test-long` alone."""
    return [n if n in names else pytest.param(n, marks=marks(n)) for n in DISTINCT]


def marks(name: str) -> list[Any]:
    """Return what keeps an architecture out of most runs."""
    wanted = name in LONG or ASKED == "all" or name in ASKED.split(",")
    reason = (
        f"much like those that are tried: FIRE_TEST_ARCHITECTURES={name} asks for it"
    )
    return [pytest.mark.long, pytest.mark.skipif(not wanted, reason=reason)]


NAMES: Final = quick("medium-0b3")
FIRST: Final = (
    *("heads", "lammps_mliap", "apply_cutoff", "edge_irreps", "use_reduced_cg"),
    *("use_agnostic_product", "use_so3", "use_last_readout_only", "num_heads"),
    *("use_edge_irreps_first", "cueq_config", "oeq_config"),
)
"""What objects of mace-torch have since, and those in the files of 2023 have not."""


def rock_salt(seed: int, width: float = 0.1) -> Atoms:
    """Rattled, and so dense that the pair repulsion of Na and Cl is felt."""
    salt = bulk("NaCl", "rocksalt", a=5.1, cubic=True)
    salt.positions += np.random.default_rng(seed).normal(0, width, (8, 3))
    return salt


@cache
def few_channels(name: str) -> MaceBackbone:
    """Return an architecture with 8 channels."""
    return random_mace(name, channels=8, dtype="float64")


@cache
def of_2023(name: str) -> MaceBackbone:
    """Return one whose objects lack what mace-torch has added to them since."""
    network = copy.deepcopy(few_channels(name).model)
    for layer in network.modules():
        for attribute in FIRST:
            layer.__dict__.pop(attribute, None)
    energies = network.atomic_energies_fn
    energies.atomic_energies = energies.atomic_energies.reshape(-1)
    for buffer in ("scale", "shift"):
        value = getattr(network.scale_shift, buffer)
        setattr(network.scale_shift, buffer, value.reshape(()))
    return MaceBackbone(
        network, name="2023", sha256="3" * 64, device="cpu", dtype="float64"
    )


def differ(ours: Label, theirs: Label) -> float:
    return max(
        abs(ours.energy - theirs.energy),
        float(np.abs(ours.forces - theirs.forces).max()),
        float(np.abs(np.asarray(ours.stress) - np.asarray(theirs.stress)).max()),
    )


def scaled(backbone: MaceBackbone, n: int, seed: int) -> list[LabelledStructure]:
    """Return frames whose interactions are a tenth more than the backbone's."""
    frames = [rock_salt(seed + i) for i in range(n)]
    items = []
    for frame, label in zip(frames, backbone.predict(frames), strict=True):
        alone = sum(backbone.atomic_energies[s] for s in frame.get_chemical_symbols())
        energy = alone + 1.1 * (label.energy - alone)
        stress = None if label.stress is None else 1.1 * label.stress
        more = replace(label, energy=energy, forces=1.1 * label.forces, stress=stress)
        items.append(LabelledStructure(structure_key(frame), frame, more, "scaled"))
    return items


def test_every_published_name_has_its_architecture() -> None:
    assert set(ARCHITECTURES) == set(MACE_NAMES)
    assert all(built.source for built in ARCHITECTURES.values())


@pytest.mark.parametrize("name", ["medium", "medium-mpa-0"])
def test_there_are_as_many_weights_as_was_published(name: str) -> None:
    weights = random_mace(name).model.parameters()
    assert sum(w.numel() for w in weights) == ARCHITECTURES[name].n_weights


def test_equal_seeds_give_equal_weights_and_others_others() -> None:
    import torch

    state = torch.get_rng_state()
    one, two, other = (random_mace("small", seed=s, channels=4) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    (a,), (b,), (c,) = (m.predict([rock_salt(1)]) for m in (one, two, other))
    assert a.energy == b.energy != c.energy
    assert one.sha256 == two.sha256 != other.sha256
    assert len(one.elements) == 89


@pytest.mark.parametrize("name", quick("small", "medium", "medium-0b3"))
def test_at_full_size_it_predicts_and_learns_what_maces_own_does(
    name: str, tmp_path: Path
) -> None:
    """From its file: labels of mace's calculator, gradients of a loss of forces."""
    import torch

    built = random_mace(name, dtype="float64")
    built.save(tmp_path / "m.model")
    ours = load_mace(tmp_path / "m.model", name=name, device="cpu", dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's note on how mace-torch unpickles
        from mace.calculators import MACECalculator

        theirs = MACECalculator(
            model_paths=str(tmp_path / "m.model"), device="cpu", default_dtype="float64"
        )
    salt = rock_salt(1)
    (label,) = ours.predict([salt])
    theirs.calculate(salt)
    told = {key: theirs.results[key] for key in ("energy", "forces", "stress")}
    assert differ(label, replace(label, **told)) < ROUNDING
    assert np.abs(label.forces).max() > 1e-3
    config = TrainConfig(strategy="naive")
    network = ours.network(config, [], seed=0)
    gradients = []
    for model in (network.fast, network.module):
        network.module.zero_grad()
        network.fast = model
        found = network.forward([network.graph(salt)], stress=True)
        assert found.stress is not None
        loss = found.forces.square().sum() + found.stress.square().sum()
        (loss + found.energy.square().sum()).backward()
        gradients.append([p.grad.clone() for p in network.module.parameters()])
    largest = max(float(g.abs().max()) for g in gradients[1])
    for one, two in zip(*gradients, strict=True):
        assert torch.allclose(one, two, rtol=0, atol=ROUNDING * largest)


class TestFewChannels(
    BackboneContract, FeaturesContract, DynamicsContract, TrainableContract
):
    """The contracts of every backbone, with all that a training may ask for."""

    supported = OPTIONAL
    rate = 1e-2  # random weights of so few channels learn slowly
    small_rate = 1e-4
    left = 0.99  # random weights of two elements reach little
    nudge = 3e-5

    @pytest.fixture(params=NAMES)
    def backbone(self, request: pytest.FixtureRequest) -> MaceBackbone:
        return few_channels(request.param)

    @pytest.fixture
    def atoms(self) -> Atoms:
        return rock_salt(0)


STRATEGIES: Final[dict[str, dict[str, Any]]] = {
    "two heads": {"strategy": "multihead_replay"},
    "adapters": {"strategy": "naive", "lora": {"rank": 2}},
    "adapters, two heads": {"strategy": "multihead_replay", "lora": {"rank": 2}},
    "scratch": {"strategy": "scratch"},
    "elements": {"strategy": "replay", "adapt": "elements"},
}


@pytest.mark.parametrize("how", STRATEGIES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_trained_is_what_the_file_predicts(
    name: str, how: str, tmp_path: Path
) -> None:
    backbone = few_channels(name)
    config = TrainConfig.model_validate(
        STRATEGIES[how]
        | {"epochs": 2, "learning_rate": 1e-2, "ema_decay": 0.5}
        | {"references": {"method": "keep"}, "replay": ReplayConfig(ratio=1)}
    )
    bromides = [
        replace(item, atoms=with_bromine(item.atoms))
        for item in scaled(backbone, 2, 20)
    ]
    data = TrainingData(
        scaled(backbone, 3, 1), scaled(backbone, 2, 10), bromides, bromides
    )
    tuned = fine_tune(backbone, data, config, seed=1)
    (tmp_path / "tuned").write_bytes(tuned.model)
    model = backbone.reload(tmp_path / "tuned")
    errors = summarise_errors(model.predict([i.atoms for i in data.valid]), data.valid)
    last = tuned.records[-1].valid
    assert errors.force_rmse == pytest.approx(last.force_rmse, rel=1e-7)
    assert errors.energy_rmse == pytest.approx(last.energy_rmse, rel=1e-6)
    (one,), (two,) = (m.predict([rock_salt(1)]) for m in (backbone, model))
    assert np.abs(one.forces - two.forces).max() > 1e-6
    assert model.elements == backbone.elements


def with_bromine(atoms: Atoms) -> Atoms:
    other = atoms.copy()
    other.symbols = ["Br" if s == "Cl" else s for s in atoms.symbols]
    return other


@pytest.mark.parametrize("format_", sorted(MaceBackbone.formats))
@pytest.mark.parametrize("name", NAMES)
def test_every_format_predicts_the_same_when_loaded(
    name: str, format_: ExportFormat, tmp_path: Path
) -> None:
    frames = [bulk("NaCl", "rocksalt", a=5.0), bulk("GaN", "zincblende", a=4.5)]
    for i, frame in enumerate(frames):
        frame.rattle(0.05, seed=i)
    path = tmp_path / "model"
    result = export_model(few_channels(name), format_, path, frames=frames)
    assert result.energy_difference <= TOLERANCES["float64"][0]
    assert result.force_difference <= TOLERANCES["float64"][1]


@pytest.mark.parametrize("name", quick())
def test_cuequivariances_layers_agree_and_come_back_exactly(name: str) -> None:
    import torch

    plain = few_channels(name)
    other = MaceBackbone(
        plain.model,
        name=name,
        sha256=plain.sha256,
        device="cpu",
        dtype="float64",
        kernels="cuequivariance",
    )
    (ours,), (theirs,) = (m.predict([rock_salt(1)]) for m in (plain, other))
    assert differ(ours, theirs) < ROUNDING
    back = from_cuequivariance(other.fast)
    for key, tensor in plain.model.state_dict().items():
        assert torch.allclose(back.state_dict()[key].double(), tensor.double(), 1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_2023_is_the_same_model(name: str, tmp_path: Path) -> None:
    """Predicted, trained, with two heads, as neutral weights and in every format."""
    new, old = few_channels(name), of_2023(name)
    old.save(tmp_path / "old.model")
    old = load_mace(tmp_path / "old.model", name="o", device="cpu", dtype="float64")
    salt = rock_salt(1)
    (expected,), (found,) = new.predict([salt]), old.predict([salt])
    assert differ(found, expected) < ROUNDING
    again = old.neutral()
    assert again.hyperparameters == new.neutral().hyperparameters
    for settings in (STRATEGIES[how] for how in ("two heads", "adapters")):
        config = TrainConfig.model_validate(settings)
        network = old.network(config, [], seed=0)
        (label,) = network.predict([network.graph(salt)])
        assert differ(label, expected) < ROUNDING, settings
        weights = trained_weights(network)
        (tmp_path / "tuned").write_bytes(network.export(weights, {}))
        (label,) = old.reload(tmp_path / "tuned").predict([salt])
        assert differ(label, expected) < ROUNDING, settings
    for format_ in MaceBackbone.formats:
        result = export_model(old, format_, tmp_path / format_, frames=[salt[:2]])
        assert result.energy_difference <= TOLERANCES["float64"][0]


@pytest.mark.parametrize("name", NAMES)
def test_a_committee_of_it_doubts_by_its_members_forces(name: str) -> None:
    """As a batch of replicas, and frame by frame: as the forces' own variance says."""
    one, two = (
        few_channels(name),
        random_mace(name, seed=1, channels=8, dtype="float64"),
    )
    config = DynamicsConfig(temperatures=(300.0,), replicas=2, steps=5, segment=5)
    states = start_states([rock_salt(1), rock_salt(2)], config, seed=1)
    batch = ReplicaBatch(one.batched_model(), states, PartLimit(0, 0))
    batch.start()
    frames = [
        Atoms(s.numbers, positions=s.positions, cell=s.cell, pbc=True) for s in states
    ]
    estimate = CommitteeEstimator(one, [two]).estimate(frames)
    batched = BatchedSpread([two.batched_model()])(batch)
    for frame, raw, same in zip(frames, estimate.raw, batched, strict=True):
        (a,), (b,) = one.predict([frame]), two.predict([frame])
        expected = np.sqrt(((a.forces - b.forces) ** 2).sum(axis=1) / 6)
        assert raw == pytest.approx(expected, abs=ROUNDING)
        assert same == pytest.approx(expected, abs=ROUNDING)
        assert expected.min() > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_its_last_layer_doubts_what_it_was_not_trained_on(name: str) -> None:
    backbone = few_channels(name)
    learnt = [rock_salt(seed) for seed in range(20)]
    summed = sum_features(backbone.atom_features(learnt))
    items = scaled(backbone, 3, 30)
    found = build_last_layer(backbone, summed, items)
    like, denser = rock_salt(40), rock_salt(40)
    denser.set_cell(0.85 * denser.cell[:], scale_atoms=True)
    other = with_bromine(like)
    usual, near, strange = (
        raw.max() for raw in found.deviations([like, denser, other])
    )
    assert near > usual
    assert strange > 1.5 * usual
