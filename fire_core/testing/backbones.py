"""What every backbone keeps to, as test classes that a backbone's tests inherit.

Derive from the classes whose protocol the backbone has, and give two fixtures::

    class TestMine(BackboneContract, TrainableContract):
        @pytest.fixture(scope="class")
        def backbone(self):
            return load_backbone("mine", device="cpu", dtype="float64")

        @pytest.fixture
        def atoms(self):
            return ...  # a rattled periodic crystal of some eight atoms
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.backbones.base import has_features
from fire_core.backbones.trainable import OPTIONAL, is_trainable
from fire_core.config.training import TrainConfig
from fire_core.errors import TrainingError, UnknownElementError
from fire_core.records import EpochRecord, LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fire_core.backbones.base import Backbone, DrivesDynamics, HasFeatures
    from fire_core.backbones.trainable import Network, Trainable

PREDICTED = "the backbone's own labels, scaled"


def turn(atoms: Atoms) -> tuple[Atoms, np.ndarray]:
    """Return a copy turned and shifted; vectors `v` of it become `v @ rotation`."""
    turned = atoms.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    turned.positions += [0.3, -1.7, 2.2]
    return turned, np.linalg.solve(atoms.cell.array, turned.cell.array)


class BackboneContract:
    """What every backbone keeps to: symmetries, derivatives, clear refusals.

    Attributes
    ----------
    energy, force, stress
        Largest differences by rounding: eV, eV/Å, eV/Å³.
    step
        Displacement, Å, and strain of finite differences.
    slope
        Largest difference of forces and stresses from finite differences, eV/Å and
        eV/Å³.
    """

    energy: ClassVar[float] = 2e-5
    force: ClassVar[float] = 2e-4
    stress: ClassVar[float] = 1e-5
    step: ClassVar[float] = 1e-3
    slope: ClassVar[float] = 1e-3

    def test_it_says_what_it_is(self, backbone: Backbone) -> None:
        assert backbone.name
        assert backbone.elements <= set(chemical_symbols[1:])
        assert backbone.cutoff > 0
        assert len(backbone.sha256) == 64
        assert int(backbone.sha256, 16) >= 0

    def test_energy_is_invariant_and_forces_turn_with_the_crystal(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        turned, rotation = turn(atoms)
        order = np.random.default_rng(1).permutation(len(atoms))
        plain, rotated, permuted = backbone.predict([atoms, turned, atoms[order]])
        assert rotated.energy == pytest.approx(plain.energy, abs=self.energy)
        assert permuted.energy == pytest.approx(plain.energy, abs=self.energy)
        assert np.allclose(plain.forces @ rotation, rotated.forces, atol=self.force)
        assert np.allclose(plain.forces[order], permuted.forces, atol=self.force)

    def test_a_doubled_cell_has_twice_the_energy_and_the_same_stress(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        one, two = backbone.predict([atoms, atoms * (1, 2, 1)])
        assert two.energy == pytest.approx(2 * one.energy, abs=2 * self.energy)
        assert one.stress is not None
        assert two.stress is not None
        assert np.allclose(one.stress, two.stress, atol=self.stress)

    def test_forces_and_stress_are_derivatives_of_the_energy(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        step, last = self.step, len(atoms) - 1
        label = backbone.predict([atoms])[0]
        assert label.stress is not None
        for atom, axis in ((0, 0), (last // 2, 1), (last, 2)):
            moved = [atoms.copy(), atoms.copy()]
            for sign, copy in zip((1, -1), moved, strict=True):
                copy.positions[atom, axis] += sign * step
            up, down = (p.energy for p in backbone.predict(moved))
            assert label.forces[atom, axis] == pytest.approx(
                -(up - down) / (2 * step), abs=self.slope
            )
        strained = []
        for sign in (1, -1):
            copy = atoms.copy()
            strain = np.eye(3)
            strain[2, 2] += sign * step
            copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
            strained.append(copy)
        up, down = (p.energy for p in backbone.predict(strained))
        slope = (up - down) / (2 * step) / atoms.get_volume()
        assert label.stress[2] == pytest.approx(slope, abs=0.2 * self.slope)

    def test_calculator_and_batches_agree_with_single_predictions(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        frames = [atoms, atoms * (2, 1, 1), atoms]
        together = backbone.predict(frames, batch_atoms=20)
        alone = [backbone.predict([frame])[0] for frame in frames]
        for a, b in zip(together, alone, strict=True):
            assert a.energy == pytest.approx(b.energy, abs=self.energy)
        work = atoms.copy()
        work.calc = backbone.calculator()
        energy = work.get_potential_energy()
        assert energy == pytest.approx(alone[0].energy, abs=self.energy / 1e3)
        assert np.allclose(work.get_forces(), alone[0].forces)
        assert alone[0].stress is not None
        assert np.allclose(work.get_stress(), alone[0].stress)

    def test_the_callers_structures_are_left_alone(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        before = atoms.copy()
        backbone.predict([atoms])
        assert atoms == before
        assert atoms.calc is None

    def test_an_unknown_element_is_named_with_its_frame(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        unknown = sorted(set(chemical_symbols[1:]) - backbone.elements)[0]
        strange = Atoms([unknown], cell=np.eye(3) * 4.0, pbc=True)
        with pytest.raises(
            UnknownElementError, match=rf"does not know {unknown} in frame 1"
        ):
            backbone.predict([atoms, strange])


class FeaturesContract:
    """What a backbone keeps to that gives features of atoms (`HasFeatures`).

    Attributes
    ----------
    feature
        Largest difference by rounding, of the largest feature.
    """

    feature: ClassVar[float] = 1e-5

    def test_features_are_those_of_atoms_whatever_the_axes(
        self, backbone: HasFeatures, atoms: Atoms
    ) -> None:
        assert has_features(backbone)
        turned, _ = turn(atoms)
        order = np.random.default_rng(1).permutation(len(atoms))
        frames = [atoms, turned, atoms[order], atoms * (1, 2, 1)]
        plain, rotated, permuted, doubled = backbone.atom_features(frames)
        assert plain.shape[0] == len(atoms)
        assert doubled.shape == (2 * len(atoms), plain.shape[1])
        limit = self.feature * np.abs(plain).max()
        assert np.allclose(rotated, plain, rtol=0, atol=limit)
        assert np.allclose(permuted, plain[order], rtol=0, atol=limit)
        assert np.allclose(doubled[: len(atoms)], plain, rtol=0, atol=limit)


class DynamicsContract:
    """What a backbone keeps to that drives batched dynamics (`DrivesDynamics`)."""

    batched: ClassVar[float] = 1e-4

    def test_replicas_in_a_batch_are_predicted_like_single_frames(
        self, backbone: DrivesDynamics, atoms: Atoms
    ) -> None:
        import torch_sim as ts

        model = backbone.torch_sim_model(stress=True)
        frames = [atoms, atoms * (2, 1, 1)]
        output = model(ts.io.atoms_to_state(frames, model.device, model.dtype))
        expected = backbone.predict(frames)
        start = 0
        for i, label in enumerate(expected):
            end = start + len(frames[i])
            energy = float(output["energy"][i])
            assert energy == pytest.approx(label.energy, abs=self.batched)
            forces = output["forces"][start:end].detach().cpu().numpy()
            assert np.allclose(forces, label.forces, atol=self.batched)
            assert label.stress is not None
            stress = output["stress"][i].detach().cpu().numpy()
            assert np.allclose(np.diag(stress), label.stress[:3], atol=self.batched)
            start = end


class TrainableContract:
    """What a backbone keeps to that FIRE fine-tunes (`Trainable`).

    Attributes
    ----------
    supported
        Which of `trainable.OPTIONAL` its network can do.
    rounding
        Largest difference by rounding, eV and eV/Å.
    rate
        A learning rate by which its error falls.
    """

    supported: ClassVar[tuple[str, ...]] = ()
    rounding: ClassVar[float] = 1e-4
    rate: ClassVar[float] = 2e-3

    def rattled(self, atoms: Atoms, n: int, seed: int) -> list[Atoms]:
        """Return copies with every atom displaced by some 0.05 Å."""
        rng = np.random.default_rng(seed)
        frames = [atoms.copy() for _ in range(n)]
        for frame in frames:
            frame.positions += rng.normal(0, 0.05, frame.positions.shape)
        return frames

    def scaled(
        self, backbone: Trainable, frames: Sequence[Atoms], factor: float
    ) -> list[LabelledStructure]:
        """Return frames with the backbone's labels, interactions times a factor."""
        items = []
        for frame, label in zip(frames, backbone.predict(frames), strict=True):
            symbols = frame.get_chemical_symbols()
            apart = sum(backbone.atomic_energies[s] for s in symbols)
            changed = replace(
                label,
                energy=apart + factor * (label.energy - apart),
                forces=factor * label.forces,
                stress=None if label.stress is None else factor * label.stress,
            )
            key = structure_key(frame)
            items.append(LabelledStructure(key, frame, changed, PREDICTED))
        return items

    def untrained(
        self, backbone: Trainable, atoms: Atoms, config: TrainConfig | None = None
    ) -> Network:
        """Return a network before its first step."""
        train = self.scaled(backbone, self.rattled(atoms, 2, 1), 1.0)
        return backbone.network(config or TrainConfig(strategy="naive"), train, seed=1)

    def test_it_says_what_the_trainer_asks(self, backbone: Trainable) -> None:
        assert is_trainable(backbone)
        assert backbone.elements == backbone.atomic_energies.keys()
        assert isinstance(backbone.layout, str)
        assert backbone.device.type in {"cpu", "cuda"}
        assert backbone.dtype.is_floating_point

    def test_before_training_the_network_is_the_model(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        network = self.untrained(backbone, atoms)
        frames = [atoms, atoms * (2, 1, 1)]
        graphs = [network.graph(frame) for frame in frames]
        assert [int(graph.num_nodes) for graph in graphs] == [len(f) for f in frames]
        assert int(graphs[1].num_edges) == 2 * int(graphs[0].num_edges) > 0
        expected, found = backbone.predict(frames), network.predict(graphs)
        differentiable = network.forward(graphs, stress=True)
        assert differentiable.stress is not None
        split = np.split(differentiable.forces.detach().cpu(), [len(atoms)])
        for i, (a, b) in enumerate(zip(expected, found, strict=True)):
            assert b.energy == pytest.approx(a.energy, abs=self.rounding)
            assert np.allclose(b.forces, a.forces, atol=self.rounding)
            energy = float(differentiable.energy[i].detach())
            assert energy == pytest.approx(a.energy, abs=self.rounding, rel=1e-6)
            assert np.allclose(split[i], a.forces, atol=self.rounding)
            assert a.stress is not None
            stress = differentiable.stress[i].detach().cpu().numpy()
            assert np.allclose(np.diag(stress), a.stress[:3], atol=self.rounding)

    def test_forces_can_be_differentiated_by_the_weights(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        network = self.untrained(backbone, atoms)
        weights = [p for p in network.module.parameters() if p.requires_grad]
        assert weights
        prediction = network.forward([network.graph(atoms)], stress=False)
        assert prediction.stress is None
        prediction.forces.square().sum().backward()
        assert any(
            weight.grad is not None and float(weight.grad.abs().max()) > 0
            for weight in weights
        )

    def test_an_exported_network_is_the_model_with_shifted_references(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        network = self.untrained(backbone, atoms)
        weights = [p.detach() for p in network.module.parameters() if p.requires_grad]
        symbol = atoms.get_chemical_symbols()[0]
        path = tmp_path / "exported"
        path.write_bytes(network.export(weights, {symbol: -3.0}))
        before, after = (
            model.predict([atoms])[0] for model in (backbone, backbone.reload(path))
        )
        shifted = before.energy - 3.0 * atoms.get_chemical_symbols().count(symbol)
        assert after.energy == pytest.approx(shifted, abs=self.rounding)
        assert np.allclose(after.forces, before.forces, atol=self.rounding)

    def test_it_goes_on_from_other_weights_with_its_own_references(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        if "warm_start" not in self.supported:
            return  # that it is refused is tested below
        config = TrainConfig(strategy="naive", warm_start=True)
        network = self.untrained(backbone, atoms, config)
        weights = [p.detach() for p in network.module.parameters() if p.requires_grad]
        symbol = atoms.get_chemical_symbols()[0]
        path = tmp_path / "before"
        path.write_bytes(network.export([1.01 * w for w in weights], {symbol: -3.0}))
        start = backbone.reload(path)
        warm = backbone.network(config, [], seed=1, start=start)
        expected, (found,) = (
            start.predict([atoms])[0],
            warm.predict([warm.graph(atoms)]),
        )
        energy = found.energy - 3.0 * atoms.get_chemical_symbols().count(symbol)
        assert energy == pytest.approx(expected.energy, abs=self.rounding)
        assert np.allclose(found.forces, expected.forces, atol=self.rounding)
        plain = backbone.predict([atoms])[0]
        assert np.abs(found.forces - plain.forces).max() > self.rounding

    def test_saved_and_loaded_it_predicts_the_same(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        backbone.save(tmp_path / "saved")
        again = backbone.reload(tmp_path / "saved")
        assert is_trainable(again)
        one, two = (model.predict([atoms])[0] for model in (backbone, again))
        assert two.energy == pytest.approx(one.energy, abs=self.rounding)
        assert np.allclose(one.forces, two.forces, atol=self.rounding)
        assert again.atomic_energies == pytest.approx(backbone.atomic_energies)

    def test_fine_tuned_its_error_falls_and_it_resumes_exactly(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        train, valid, replay, heldout = (
            self.scaled(backbone, self.rattled(atoms, 4, seed), 1.1)
            for seed in range(4)
        )
        data = TrainingData(train, valid, replay, heldout)
        config = TrainConfig(
            epochs=8, batch_frames=1, learning_rate=self.rate, ema_decay=0.5
        )
        states: list[bytes] = []
        before = backbone.predict([atoms])[0]

        def keep(_: EpochRecord, state: bytes) -> None:
            states.append(state)

        tuned = fine_tune(backbone, data, config, seed=1, on_epoch=keep)
        assert tuned.records[-1].n_replay == 4
        first, last = (tuned.records[i].valid.force_rmse for i in (0, -1))
        assert last < 0.8 * first
        resumed = fine_tune(backbone, data, config, seed=1, checkpoint=states[3])
        assert resumed.records[-1].valid == tuned.records[-1].valid
        after = backbone.predict([atoms])[0]
        assert after.energy == before.energy
        assert np.array_equal(after.forces, before.forces)

    @pytest.mark.parametrize("option", OPTIONAL)
    def test_what_it_cannot_do_it_refuses(
        self, backbone: Trainable, atoms: Atoms, option: str
    ) -> None:
        settings = {
            "scratch": {"strategy": "scratch"},
            "multihead_replay": {"strategy": "multihead_replay"},
            "freeze": {"strategy": "naive", "freeze": ["readouts"]},
            "lora": {"strategy": "naive", "lora": {"rank": 1}},
            "warm_start": {"strategy": "naive", "warm_start": True},
        }
        config = TrainConfig.model_validate(settings[option])
        if option in self.supported:
            assert self.untrained(backbone, atoms, config).graph(atoms)
        else:
            with pytest.raises(TrainingError, match=rf"cannot be trained.*{option}"):
                self.untrained(backbone, atoms, config)
