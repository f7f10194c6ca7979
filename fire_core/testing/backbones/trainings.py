"""What a `Trainable` keeps to while FIRE trains it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from fire_core.backbones.trainable import OPTIONAL
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.errors import TrainingError
from fire_core.testing.backbones.frames import of_other_elements, rattled
from fire_core.testing.backbones.networks import NetworkContract, repeated
from fire_core.training.checkpoints import unpack_checkpoint
from fire_core.training.data import TrainingData, identify
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.records import EpochRecord
    from fire_core.training.trainer import FineTuned

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "scratch": {"strategy": "scratch"},
    "multihead_replay": {"strategy": "multihead_replay"},
    "freeze": {"strategy": "naive", "freeze": ["readouts"]},
    "lora": {"strategy": "naive", "lora": {"rank": 1}},
    "warm_start": {"strategy": "naive", "warm_start": True},
    "adapt: elements": {"strategy": "naive", "adapt": "elements"},
}
"""Of a training that asks for each of what a network may do without."""


class TrainableContract(NetworkContract):
    """What a backbone keeps to that FIRE fine-tunes (`Trainable`)."""

    def fine_tuned(
        self, backbone: Trainable, atoms: Atoms, **how: Any
    ) -> tuple[FineTuned, list[bytes]]:
        """Return a training with replay and its state after every epoch."""
        train, valid, replay, heldout = (
            self.scaled(backbone, rattled(atoms, 4, seed), 1.1) for seed in range(4)
        )
        data = TrainingData(train, valid, replay, heldout)
        config = TrainConfig(
            epochs=8,
            batch_frames=1,
            learning_rate=self.rate,
            ema_decay=0.5,
            replay=ReplayConfig(ratio=1.0),
        )
        states: list[bytes] = []

        def keep(_: EpochRecord, state: bytes) -> None:
            states.append(state)

        return fine_tune(backbone, data, config, seed=1, on_epoch=keep, **how), states

    def test_one_step_lowers_the_loss(self, backbone: Trainable, atoms: Atoms) -> None:
        """One structure, so that an epoch is a step, and each loss is before it."""
        train = self.scaled(backbone, rattled(atoms, 1, 1), 1.1)
        rate = self.small_rate or self.rate / 10
        config = TrainConfig(strategy="naive", epochs=3, learning_rate=rate)
        data = TrainingData(train, train, [], [])
        losses = [
            r.train_loss for r in fine_tune(backbone, data, config, seed=1).records
        ]
        assert losses[0] > losses[1] > losses[2] > 0

    def test_fine_tuned_its_error_falls_and_it_resumes_bit_for_bit(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        (before,) = repeated(backbone, [atoms])
        tuned, states = self.fine_tuned(backbone, atoms)
        assert tuned.records[-1].n_replay == 4
        first, last = (tuned.records[i].valid.force_rmse for i in (0, -1))
        assert last < 0.8 * first
        resumed, _ = self.fine_tuned(backbone, atoms, checkpoint=states[3])
        for one, two in zip(tuned.records, resumed.records, strict=True):
            assert replace(two, seconds=one.seconds) == one
        models = []
        for name, result in (("through", tuned), ("resumed", resumed)):
            (tmp_path / name).write_bytes(result.model)
            models.append(backbone.reload(tmp_path / name))
        (through,), (again,) = (repeated(model, [atoms]) for model in models)
        assert again.energy == through.energy
        assert np.array_equal(again.forces, through.forces)
        assert np.abs(through.forces - before.forces).max() > self.rounding
        (after,) = repeated(backbone, [atoms])  # the foundation is what it was
        assert after.energy == before.energy
        assert np.array_equal(after.forces, before.forces)

    def test_of_other_elements_nothing_changes_where_elements_are_adapted(
        self, backbone: Trainable, atoms: Atoms, tmp_path: Path
    ) -> None:
        """To the last bit; and the target's error falls."""
        if "adapt: elements" not in self.supported:
            return  # that it is refused is tested below
        config = TrainConfig(
            strategy="naive", adapt="elements", epochs=6, learning_rate=self.rate
        )
        train = self.scaled(backbone, rattled(atoms, 4, 1), 1.1)
        data = TrainingData(train, train, [], [])
        tuned = fine_tune(backbone, data, config, seed=1)
        first, last = (tuned.records[i].valid.force_rmse for i in (0, -1))
        assert last < self.left * first
        (tmp_path / "tuned").write_bytes(tuned.model)
        model = backbone.reload(tmp_path / "tuned")
        stranger = of_other_elements(backbone, atoms)
        (before,), (after,) = (repeated(m, [stranger]) for m in (backbone, model))
        assert after.energy == before.energy
        assert np.array_equal(after.forces, before.forces)
        assert np.abs(before.forces).max() > self.rounding

    @pytest.mark.parametrize("option", ["", "freeze", "lora", "adapt: elements"])
    def test_what_is_not_trained_stays_to_the_last_bit(
        self, backbone: Trainable, atoms: Atoms, option: str
    ) -> None:
        """Frozen weights, and buffers such as reference energies, after two epochs."""
        if option and option not in self.supported:
            return  # that it is refused is tested below
        settings = SETTINGS.get(option, {"strategy": "naive"})
        config = TrainConfig.model_validate(
            settings | {"epochs": 2, "learning_rate": self.rate}
        )
        train = self.scaled(backbone, rattled(atoms, 2, 1), 1.1)
        data = TrainingData(train, train, [], [])
        states: list[bytes] = []

        def keep(_: EpochRecord, state: bytes) -> None:
            states.append(state)

        fine_tune(backbone, data, config, seed=1, on_epoch=keep)
        module = backbone.network(config, train, seed=1).module
        trained = {n for n, p in module.named_parameters() if p.requires_grad}
        before = {n: v.detach().clone() for n, v in module.state_dict().items()}
        identity = identify(backbone, data, config, 1)
        unpack_checkpoint(states[-1], {"model": module}, identity)
        changed = {
            n
            for n, v in module.state_dict().items()
            if not bool((v == before[n]).all())
        }
        assert changed
        assert changed <= trained
        if option == "freeze":
            assert before.keys() - trained

    @pytest.mark.parametrize("option", OPTIONAL)
    def test_what_it_cannot_do_it_refuses(
        self, backbone: Trainable, atoms: Atoms, option: str
    ) -> None:
        config = TrainConfig.model_validate(SETTINGS[option])
        if option in self.supported:
            assert self.untrained(backbone, atoms, config).graph(atoms)
        else:
            with pytest.raises(TrainingError, match=rf"cannot be trained.*{option}"):
                self.untrained(backbone, atoms, config)
