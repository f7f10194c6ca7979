"""What the network of a `Trainable` keeps to, before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from fire_core.backbones.neutral import SUFFIX, pack_neutral, read_neutral
from fire_core.backbones.repeatable import repeatable
from fire_core.backbones.trainable import is_trainable
from fire_core.config.training import TrainConfig
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.testing.backbones.frames import batch, rattled, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from ase import Atoms

    from fire_core.backbones.trainable import Network, Trainable
    from fire_core.records import Label

PREDICTED = "the backbone's own labels, scaled"


def trained_weights(network: Network) -> list[Any]:
    """Return the weights that may change, in the order of the module."""
    return [p for p in network.module.parameters() if p.requires_grad]


def repeated(model: Trainable, frames: Sequence[Atoms]) -> list[Label]:
    """Predict with sums in a fixed order, so that equal models give equal bits."""
    with repeatable(model.device):
        return model.predict(frames)


def moved(weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return other weights near these; those that are zero move as well."""
    return [1.01 * w.detach() + 0.01 * (w.detach() == 0) for w in weights]


class NetworkContract:
    """What a network keeps to before it is trained; see `trainings`.

    Attributes
    ----------
    supported
        Which of `trainable.OPTIONAL` its network can do.
    rounding
        Largest difference by rounding, eV and eV/Å.
    rate
        A learning rate by which its error falls.
    small_rate
        One at which no step is too long, as the first ones of Adam are as long as the
        rate; None: a tenth of `rate`.
    left
        Most that six epochs of `adapt: elements` leave of the error.
    nudge
        Relative change of weights in finite differences.
    gradient
        Largest relative difference of gradients from finite differences.
    """

    supported: ClassVar[tuple[str, ...]] = ()
    rounding: ClassVar[float] = 1e-4
    rate: ClassVar[float] = 2e-3
    small_rate: ClassVar[float | None] = None
    left: ClassVar[float] = 0.9
    nudge: ClassVar[float] = 1e-4
    gradient: ClassVar[float] = 1e-4

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
        train = self.scaled(backbone, rattled(atoms, 2, 1), 1.0)
        return backbone.network(config or TrainConfig(strategy="naive"), train, seed=1)

    def same(self, one: Label, two: Label) -> None:
        """Assert that two labels of one structure differ by rounding alone."""
        limit = self.rounding * max(1, len(one.forces) / 8)
        assert two.energy == pytest.approx(one.energy, abs=limit, rel=0)
        assert np.allclose(two.forces, one.forces, rtol=0, atol=self.rounding)

    def test_it_says_what_the_trainer_asks(self, backbone: Trainable) -> None:
        assert is_trainable(backbone)
        assert backbone.elements == backbone.atomic_energies.keys()
        assert isinstance(backbone.layout, str)
        assert backbone.device.type in {"cpu", "cuda"}
        assert backbone.dtype.is_floating_point

    def test_network_and_predictions_follow_device_and_type_and_leave_torch_alone(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        import torch

        default, state = torch.get_default_dtype(), torch.get_rng_state()
        network = self.untrained(backbone, atoms)
        told = network.forward([network.graph(atoms)], stress=True)
        backbone.predict([atoms])
        for weight in network.module.parameters():
            assert weight.device.type == backbone.device.type
            assert weight.dtype == backbone.dtype
        assert told.stress is not None
        for values in (told.energy, told.forces, told.stress):
            assert values.device.type == backbone.device.type
        assert told.forces.dtype == backbone.dtype
        assert torch.get_default_dtype() == default
        assert torch.equal(torch.get_rng_state(), state)

    def test_before_training_the_network_is_the_model(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        """In one batch of every kind of frame, differentiable or not."""
        network = self.untrained(backbone, atoms)
        frames = batch(backbone, atoms)
        graphs = [network.graph(frame) for frame in frames]
        assert [int(graph.num_nodes) for graph in graphs] == [len(f) for f in frames]
        pair = [int(network.graph(f).num_edges) for f in (atoms, atoms * (2, 1, 1))]
        assert pair[1] == 2 * pair[0] > 0
        found = network.predict(graphs)
        told = network.forward(graphs, stress=True)
        assert told.stress is not None
        energies = told.energy.detach().cpu().double().numpy()
        forces = told.forces.detach().cpu().double().numpy()
        stress = told.stress.detach().cpu().double().numpy()
        parts = np.split(forces, np.cumsum([len(f) for f in frames])[:-1])
        for i, frame in enumerate(frames):
            (expected,) = backbone.predict([frame])
            self.same(expected, found[i])
            limit = self.rounding * max(1, len(frame) / 8)
            assert energies[i] == pytest.approx(expected.energy, abs=limit, rel=1e-6)
            assert np.allclose(parts[i], expected.forces, rtol=0, atol=self.rounding)
            assert expected.stress is not None
            assert np.allclose(
                stress[i], tensor(expected.stress), rtol=0, atol=self.rounding
            )

    def test_gradients_by_the_weights_are_finite_differences(
        self, backbone: Trainable, atoms: Atoms
    ) -> None:
        """Of energies, forces and stresses, which torch differentiates twice.

        Once along the gradient of every weight tensor, so that no layer can be wrong,
        and once along a random direction.
        """
        import torch

        network = self.untrained(backbone, atoms)
        graphs = [network.graph(a) for a in (atoms, rattled(atoms, 1, 3)[0])]
        first = network.forward(graphs, stress=False)
        assert first.stress is None
        draw = torch.Generator().manual_seed(1)

        def random(shape: Any) -> Any:
            values = torch.randn(shape, generator=draw, dtype=torch.float64)
            return values.to(device=backbone.device, dtype=backbone.dtype)

        factors = random((2 * len(atoms), 3)), random((2, 3, 3))

        def scalar() -> Any:
            told = network.forward(graphs, stress=True)
            volume = atoms.get_volume()
            return (
                (told.forces * factors[0]).sum()
                + (told.stress * factors[1]).sum() * volume
                + 0.3 * (told.energy - first.energy.detach()).sum()
            )

        weights = trained_weights(network)
        assert weights
        scalar().backward()
        kept = [w.detach().clone() for w in weights]
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        assert any(float(g.abs().max()) > 0 for g in grads)
        sizes = [float(w.norm()) or 1.0 for w in kept]
        along = [
            s * g / (float(g.norm()) or 1.0) for s, g in zip(sizes, grads, strict=True)
        ]
        anywhere = [
            s * r / float(r.norm())
            for s, r in zip(sizes, (random(w.shape) for w in kept), strict=True)
        ]
        scale = sum(float((g * d).sum()) for g, d in zip(grads, along, strict=True))
        for direction in (along, anywhere):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    for weight, start, d in zip(weights, kept, direction, strict=True):
                        weight.copy_(start + sign * self.nudge * d)
                values.append(float(scalar().detach()))
            slope = (values[0] - values[1]) / (2 * self.nudge)
            expected = sum(
                float((g * d).sum()) for g, d in zip(grads, direction, strict=True)
            )
            assert slope == pytest.approx(expected, abs=self.gradient * scale)

    def test_exported_saved_or_neutral_it_keeps_the_weights_that_it_has(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        """Weights that are not the foundation's come back by each of the ways."""
        import torch

        network = self.untrained(backbone, atoms)
        changed = moved(trained_weights(network))
        path = tmp_path / "exported"
        path.write_bytes(network.export(changed, {}))
        with torch.no_grad():
            for weight, value in zip(trained_weights(network), changed, strict=True):
                weight.copy_(value)
        model = backbone.reload(path)
        assert is_trainable(model)
        assert (model.device, model.dtype) == (backbone.device, backbone.dtype)
        (expected,) = network.predict([network.graph(atoms)])
        (plain,), (found,) = backbone.predict([atoms]), repeated(model, [atoms])
        assert np.abs(found.forces - plain.forces).max() > 2 * self.rounding
        self.same(expected, found)
        assert model.sha256 != backbone.sha256
        model.save(tmp_path / "saved")
        neutral = tmp_path / f"neutral{SUFFIX}"
        neutral.write_bytes(pack_neutral(model.neutral()))
        for copy in (tmp_path / "saved", neutral):
            again = backbone.reload(copy)
            (label,) = repeated(again, [atoms])
            assert label.energy == pytest.approx(found.energy, rel=1e-12)
            if backbone.device.type == "cpu":
                assert np.array_equal(label.forces, found.forces), copy.name
            assert again.atomic_energies == pytest.approx(model.atomic_energies)
            assert again.elements == model.elements

    def test_neutral_weights_need_no_pickle_and_say_whose_they_are(
        self,
        backbone: Trainable,
        atoms: Atoms,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import pickle

        import torch

        data = pack_neutral(backbone.neutral())
        assert pack_neutral(backbone.neutral()) == data
        path = tmp_path / f"neutral{SUFFIX}"
        path.write_bytes(data)
        neutral = read_neutral(path)
        assert neutral.family
        assert neutral.tensors

        def refuse(*_: object, **__: object) -> None:
            msg = "a neutral file is read without unpickling"
            raise AssertionError(msg)

        monkeypatch.setattr(torch, "load", refuse)
        monkeypatch.setattr(pickle, "Unpickler", refuse)
        (label,) = backbone.reload(path).predict([atoms])
        self.same(backbone.predict([atoms])[0], label)

    def test_a_reference_shift_moves_energies_by_that_and_forces_not_at_all(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        network = self.untrained(backbone, atoms)
        weights = [w.detach() for w in trained_weights(network)]
        symbols = sorted(set(atoms.get_chemical_symbols()))
        shift = {s: -3.0 + 1.25 * i for i, s in enumerate(symbols)}
        models = []
        for name, moved in (("plain", {}), ("shifted", shift)):
            (tmp_path / name).write_bytes(network.export(weights, moved))
            models.append(backbone.reload(tmp_path / name))
        frames = [atoms, atoms[:1], atoms[1:]]
        pairs = zip(*(repeated(model, frames) for model in models), strict=True)
        for frame, (before, after) in zip(frames, pairs, strict=True):
            expected = sum(shift[s] for s in frame.get_chemical_symbols())
            assert after.energy - before.energy == pytest.approx(
                expected, abs=self.rounding / 10
            )
            if backbone.device.type == "cpu":
                assert np.array_equal(after.forces, before.forces)
        self.same(backbone.predict([atoms])[0], models[0].predict([atoms])[0])
        for symbol, energy in backbone.atomic_energies.items():
            assert models[1].atomic_energies[symbol] == pytest.approx(
                energy + shift.get(symbol, 0.0), abs=self.rounding / 10
            )

    def test_it_goes_on_from_other_weights_with_its_own_references(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        if "warm_start" not in self.supported:
            return  # that it is refused is tested in `trainings`
        config = TrainConfig(strategy="naive", warm_start=True)
        network = self.untrained(backbone, atoms, config)
        weights = moved(trained_weights(network))
        symbol = atoms.get_chemical_symbols()[0]
        path = tmp_path / "before"
        path.write_bytes(network.export(weights, {symbol: -3.0}))
        start = backbone.reload(path)
        warm = backbone.network(config, [], seed=1, start=start)
        (expected,) = start.predict([atoms])
        (found,) = warm.predict([warm.graph(atoms)])
        energy = found.energy - 3.0 * atoms.get_chemical_symbols().count(symbol)
        self.same(expected, replace(found, energy=energy))
        plain = backbone.predict([atoms])[0]
        assert np.abs(found.forces - plain.forces).max() > self.rounding
