"""Every way a backbone is used, walked on the pretend accelerator.

Each path computes the same on the CPU and on the device (`pretend`), and asserts that
the numbers agree; a tensor on the wrong device raises on its way.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from fire_core.backbones.base import drives_dynamics, has_features
from fire_core.backbones.export import (
    TOLERANCES,
    ExportFormat,
    export_model,
    is_exportable,
    largest_differences,
)
from fire_core.backbones.trainable import Trainable, is_trainable
from fire_core.config.open_sets import GATES
from fire_core.config.steps import DynamicsConfig, EvaluateConfig
from fire_core.config.training import TrainConfig
from fire_core.evaluation.gates.gate import GateData
from fire_core.evaluation.gates.run import run_gates
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.testing.backbones.frames import rattled
from fire_core.testing.backbones.trainings import SETTINGS
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune
from fire_core.uncertainty.estimate import CommitteeEstimator
from fire_core.uncertainty.last_layer import sum_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.records import EpochRecord, Label

CLOSE: Final[dict[str, Any]] = {"rel": 2e-3, "abs": 2e-4}
"""How well the two devices agree: eV, eV/Å and losses, single precision."""
OF_DYNAMICS: Final = {"nve_drift", "heating", "compression"}
TRACED: Final = {ExportFormat.LAMMPS}
"""Formats that torch.jit.trace writes, which cannot run while anything watches; it
does so from a copy on the CPU."""


@dataclass(frozen=True)
class Walk:
    """A backbone on both devices, and what to try it with.

    Attributes
    ----------
    load
        Returns the backbone on a device, given torch's name of it.
    device
        The pretend one.
    atoms
        A rattled periodic crystal of some eight atoms.
    """

    load: Callable[[str], Any]
    device: str
    atoms: Atoms

    @cached_property
    def on_cpu(self) -> Any:
        """The backbone where all is well."""
        return self.load("cpu")

    @cached_property
    def on_device(self) -> Any:
        """The backbone on the accelerator."""
        return self.load(self.device)

    @property
    def both(self) -> tuple[Any, Any]:
        """The backbone on the CPU and on the device."""
        return self.on_cpu, self.on_device

    @cached_property
    def frames(self) -> list[Atoms]:
        """Structures of two sizes."""
        (double,) = rattled(self.atoms * (2, 1, 1), 1, 3)
        return [*rattled(self.atoms, 2, 1), double]

    def items(self, seed: int, n: int = 1) -> list[LabelledStructure]:
        """Return structures with labels near the backbone's own."""
        frames = rattled(self.atoms, n, seed)
        labels = self.on_cpu.predict(rattled(self.atoms, n, seed + 50))
        return [
            LabelledStructure(structure_key(f), f, label, "made up")
            for f, label in zip(frames, labels, strict=True)
        ]


def agree(ours: Sequence[Label], theirs: Sequence[Label]) -> None:
    """Assert that labels of the same structures are the same on both devices."""
    for one, two in zip(ours, theirs, strict=True):
        assert one.energy == pytest.approx(two.energy, **CLOSE)
        assert one.forces == pytest.approx(two.forces, **CLOSE)
        assert (one.stress is None) == (two.stress is None)


def predict(walk: Walk) -> None:
    """Energies, forces and stresses, in one batch and in several."""
    on_cpu, on_device = walk.both
    expected = on_cpu.predict(walk.frames)
    agree(on_device.predict(walk.frames), expected)
    agree(on_device.predict(walk.frames, batch_atoms=len(walk.atoms)), expected)


def calculator(walk: Walk) -> None:
    """One structure through ASE."""
    atoms = walk.atoms.copy()
    atoms.calc = walk.on_device.calculator()
    (label,) = walk.on_cpu.predict([walk.atoms])
    assert atoms.get_forces() == pytest.approx(label.forces, **CLOSE)


def features(walk: Walk) -> None:
    """Features of atoms."""
    ours, theirs = (b.atom_features(walk.frames) for b in reversed(walk.both))
    for one, two in zip(ours, theirs, strict=True):
        assert one == pytest.approx(two, **CLOSE)


def reload(walk: Walk) -> None:
    """Read it again from its file, as gates and studies do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved.model"
        walk.on_device.save(path)
        again = walk.on_device.reload(path)
    agree(again.predict(walk.frames), walk.on_cpu.predict(walk.frames))


def export(walk: Walk) -> None:
    """Written on the device in every format; read on the CPU as its users do.

    Other programs' calculators know devices by name, and not this one.
    """
    on_cpu, on_device = walk.both
    formats = on_device.formats if is_exportable(on_device) else frozenset()
    for format_ in sorted(formats - TRACED):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out"
            on_device.write(format_, path, None)
            check = on_cpu.check(format_, path, walk.frames[:2])
        energy, force = largest_differences(check.predicted, check.expected)
        limits = TOLERANCES[check.dtype or "float32"]
        assert energy <= limits[0]
        assert force <= limits[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        export_model(on_device, ExportFormat.NEUTRAL, path, frames=walk.frames[:2])


def gates(walk: Walk) -> None:
    """Those that are no dynamics, which have a path of their own."""
    config = EvaluateConfig.model_validate({"gates": {"elastic": {"relax_steps": 2}}})
    data = GateData(walk.items(1), walk.items(2), walk.on_cpu, walk.atoms, 300.0, 0)
    names = [name for name in GATES.builtin if name not in OF_DYNAMICS]
    assert len(run_gates(walk.on_device, data, config, gates=names)) == len(names)


def committee(walk: Walk) -> None:
    """Measure a committee's spread, and the rigidity of the last layer."""
    device = walk.on_device
    agreeing = CommitteeEstimator(device, [device]).estimate(walk.frames)
    assert max(float(raw.max()) for raw in agreeing.raw) < CLOSE["abs"]
    if has_features(device):
        sum_features(device.atom_features(walk.frames)).metric(1e-2)


def dynamics(walk: Walk) -> None:
    """Replicas of two sizes in one batch, for a segment.

    The rooms of dynamics change what drives them; this path follows
    `exploration.dynamics.run_segment` alone.
    """
    config = DynamicsConfig(
        temperatures=(300.0, 600.0), replicas=4, steps=10, save_every=5, segment=10
    )
    ends = []
    for backbone in walk.both:
        states = start_states([walk.atoms, walk.frames[-1]], config, 7)
        result = run_segment(
            backbone, states, config, segment_index=0, seed=7, model_sha="0" * 64
        )
        assert not result.breaches
        ends.append(np.concatenate([s.positions for s in result.states]))
    assert ends[1] == pytest.approx(ends[0], abs=1e-3)


def train(walk: Walk, **settings: Any) -> None:
    """Train an epoch with replay, or as the settings say; read the file again."""
    config = TrainConfig.model_validate(
        {"epochs": 1, "batch_frames": 2, "replay": {"ratio": 0.5}} | settings
    )
    records = []
    for backbone in walk.both:
        tuned = fine_tune(backbone, _data(walk, backbone, config), config, seed=1)
        records.append(tuned.records[-1])
        _read_again(backbone, tuned.model, walk.frames)
    on_cpu, on_device = records
    assert on_device.train_loss == pytest.approx(on_cpu.train_loss, **CLOSE)
    assert on_device.valid.force_rmse == pytest.approx(on_cpu.valid.force_rmse, **CLOSE)


def resume(walk: Walk) -> None:
    """Two epochs, the second once more from the checkpoint of the first."""
    config = TrainConfig(strategy="naive", epochs=2, batch_frames=2)
    states: list[bytes] = []

    def keep(_: EpochRecord, state: bytes) -> None:
        states.append(state)

    data = _data(walk, walk.on_device, config)
    whole = fine_tune(walk.on_device, data, config, seed=1, on_epoch=keep)
    again = fine_tune(walk.on_device, data, config, seed=1, checkpoint=states[0])
    ours, theirs = (run.records[1].train_loss for run in (again, whole))
    assert ours == pytest.approx(theirs, rel=1e-4)


def _data(walk: Walk, backbone: Any, config: TrainConfig) -> TrainingData:
    start = backbone if config.warm_start else None
    train, valid, replay, heldout = (
        walk.items(seed, n) for seed, n in enumerate((2, 1, 1, 1), 1)
    )
    return TrainingData(train, valid, replay, heldout, start)


def _read_again(backbone: Trainable, model: bytes, frames: Sequence[Atoms]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trained.model"
        path.write_bytes(model)
        backbone.reload(path).predict(frames)


def paths_of(backbone: Any) -> dict[str, Callable[[Walk], None]]:
    """Return the paths that a backbone may have, by name."""
    paths: dict[str, Callable[[Walk], None]] = {
        "predict": predict,
        "calculator": calculator,
        "committee": committee,
    }
    if has_features(backbone):
        paths["features"] = features
    if drives_dynamics(backbone):
        paths["dynamics"] = dynamics
    if is_trainable(backbone):
        paths |= {"reload": reload, "export": export, "train": train, "gates": gates}
        paths |= {"train in parts": partial(train, part_atoms=1), "resume": resume}
        for option, settings in SETTINGS.items():
            paths[f"train {option}"] = partial(train, **settings)
    return paths
