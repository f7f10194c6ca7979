"""Fine-tuning: it learns, remembers, resumes exactly and leaves its input alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.mace_graphs import predict_graphs
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.errors import BackboneError, TrainingError, UnknownElementError
from fire_core.evaluation.errors import summarise_errors
from fire_core.training.data import TrainingData
from fire_core.training.trainer import FineTuned, fine_tune
from tests.events import wait_for
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.records import EpochRecord

ROUNDING = 2e-6  # relative, single precision over a few dozen steps
SETTINGS = TrainConfig(
    epochs=4,
    batch_frames=2,
    learning_rate=5e-3,
    ema_decay=0.5,
    valid_fraction=0.2,
    replay=ReplayConfig(ratio=1.0, weight=1.0),
)


def make_data(*, offset: float = 0.0) -> TrainingData:
    return TrainingData(
        train=labelled(rattled("LiF", 8, 1), offset=offset),
        valid=labelled(rattled("LiF", 4, 2), offset=offset),
        replay=labelled(rattled("LiCl", 10, 3), epsilon=0.05),
        heldout=labelled(rattled("LiCl", 4, 4), epsilon=0.05),
    )


def reload(tuned: FineTuned, like: MaceBackbone) -> MaceBackbone:
    import torch

    model = torch.load(io.BytesIO(tuned.model), weights_only=False)
    return MaceBackbone(
        model, name="tuned", sha256="0", device="cpu", dtype=str(like.dtype)[6:]
    )


def test_errors_fall_and_the_backbone_is_left_alone(backbone: MaceBackbone) -> None:
    import torch

    before = [p.clone() for p in backbone.model.parameters()]
    data = make_data()
    positions = [item.atoms.positions.copy() for item in data.train]
    config = SETTINGS.model_copy(update={"epochs": 25})
    tuned = fine_tune(backbone, data, config, seed=1)
    first, last = tuned.records[0].valid, tuned.records[-1].valid
    assert last.force_rmse < 0.6 * first.force_rmse
    for old, new in zip(before, backbone.model.parameters(), strict=True):
        assert torch.equal(old, new)
    for old, item in zip(positions, data.train, strict=True):
        assert np.array_equal(old, item.atoms.positions)


def test_what_is_returned_is_what_was_validated(backbone: MaceBackbone) -> None:
    data = make_data(offset=-80.0)
    tuned = fine_tune(backbone, data, SETTINGS, seed=1)
    model = reload(tuned, backbone)
    errors = summarise_errors(model.predict([i.atoms for i in data.valid]), data.valid)
    recorded = tuned.records[-1].valid
    assert errors.force_rmse == pytest.approx(recorded.force_rmse, rel=1e-4)
    assert errors.energy_rmse == pytest.approx(recorded.energy_rmse, rel=1e-2, abs=0.05)


def test_a_constant_per_element_offset_changes_no_force(
    double_backbone: MaceBackbone,
) -> None:
    plain, shifted = (
        reload(fine_tune(double_backbone, make_data(offset=o), SETTINGS, seed=1),
               double_backbone)
        for o in (0.0, -300.0)
    )  # fmt: skip
    frames = rattled("LiF", 2, 9)
    for a, b, atoms in zip(
        plain.predict(frames), shifted.predict(frames), frames, strict=True
    ):
        assert np.allclose(a.forces, b.forces, atol=1e-6)
        assert b.energy - a.energy == pytest.approx(-300.0 * len(atoms), abs=1e-3)


def test_replay_forgets_less_than_naive_fine_tuning() -> None:
    """Pre-train on LiCl, then learn a stiffer LiF with and without rehearsal."""
    foundation = make_backbone(dtype="float64")
    old = make_data()
    pre = TrainingData(old.replay, old.heldout, [], [])
    settings = SETTINGS.model_copy(update={"epochs": 30, "strategy": "naive"})
    trained = reload(fine_tune(foundation, pre, settings, seed=5), foundation)
    forgetting = {}
    for strategy in ("naive", "replay"):
        config = settings.model_copy(update={"strategy": strategy})
        tuned = fine_tune(trained, old, config, seed=6)
        forgetting[strategy] = tuned.records[-1].forgetting_force_mae
    assert forgetting["replay"] < 0.7 * forgetting["naive"]


@pytest.mark.parametrize(
    ("change", "n_replay"),
    [
        ({"strategy": "naive"}, 0),
        ({"replay": ReplayConfig(ratio=0.0)}, 0),
        ({"replay": ReplayConfig(ratio=0.5)}, 4),
        ({"replay": ReplayConfig(ratio=2.0)}, 16),
    ],
)
def test_ratio_and_strategy_set_what_is_rehearsed(
    backbone: MaceBackbone, change: dict[str, Any], n_replay: int
) -> None:
    config = SETTINGS.model_copy(update={"epochs": 1, **change})
    record = fine_tune(backbone, make_data(), config, seed=1).records[0]
    assert (record.n_target, record.n_replay) == (8, n_replay)


def test_the_replay_weight_changes_the_gradient(backbone: MaceBackbone) -> None:
    data = make_data()
    losses = [
        fine_tune(
            backbone,
            data,
            SETTINGS.model_copy(
                update={"epochs": 1, "replay": ReplayConfig(weight=weight)}
            ),
            seed=1,
        )
        .records[0]
        .train_loss
        for weight in (1.0, 4.0)
    ]
    assert losses[1] > 1.5 * losses[0]


def test_stopped_by_an_error_it_resumes_as_if_it_had_not(
    backbone: MaceBackbone,
) -> None:
    data = make_data()
    whole = fine_tune(backbone, data, SETTINGS, seed=1)
    kept: list[bytes] = []

    def stop(record: EpochRecord, state: bytes) -> None:
        kept.append(state)
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(backbone, data, SETTINGS, seed=1, on_epoch=stop)
    resumed = fine_tune(backbone, data, SETTINGS, seed=1, checkpoint=kept[-1])
    assert [r.replay_digest for r in resumed.records] == [
        r.replay_digest for r in whole.records
    ]
    graphs = [backbone.graph(i.atoms) for i in data.valid]
    for a, b in zip(
        predict_graphs(reload(whole, backbone).model, graphs, backbone.device),
        predict_graphs(reload(resumed, backbone).model, graphs, backbone.device),
        strict=True,
    ):
        assert np.allclose(a.forces, b.forces, rtol=ROUNDING, atol=ROUNDING)


def test_killed_for_real_it_resumes_as_if_it_had_not(tmp_path: Path) -> None:
    script = """
import json, pathlib, sys
from fire_core.training.trainer import fine_tune
from tests.training.conftest import make_backbone
from tests.training.test_trainer import SETTINGS, make_data
from tests.events import halt
folder, last = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def keep(record, state):
    partial = folder / "partial"
    partial.write_bytes(state)
    partial.replace(folder / f"epoch-{record.epoch}")
    if record.epoch == last:
        halt(folder, "halted")
old = sorted(folder.glob("epoch-*"))
tuned = fine_tune(
    make_backbone(), make_data(), SETTINGS.model_copy(update={"epochs": 8}), seed=1,
    checkpoint=old[-1].read_bytes() if old else None, on_epoch=keep)
last = tuned.records[-1]
print(json.dumps([len(tuned.records), last.valid.force_rmse, last.replay_digest]))
"""
    root = Path(__file__).parents[2]

    def start(folder: Path, last: int = -1) -> subprocess.Popen[str]:
        """Start training; it goes no further than epoch `last`."""
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-W", "ignore", "-c", script, str(folder)]
        return subprocess.Popen(
            [*command, str(last)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )

    with start(tmp_path / "killed", last=2) as killed:
        wait_for((tmp_path / "killed" / "halted").exists, killed)
        killed.kill()
    assert len(list((tmp_path / "killed").glob("epoch-*"))) == 3
    results = []
    for folder in ("whole", "killed"):
        with start(tmp_path / folder) as process:
            results.append(json.loads(process.communicate()[0].splitlines()[-1]))
    assert results[0][0] == results[1][0] == 8
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-5)
    assert results[1][2] == results[0][2]


def test_a_checkpoint_of_another_training_is_refused(backbone: MaceBackbone) -> None:
    states: list[bytes] = []
    short = SETTINGS.model_copy(update={"epochs": 1})
    fine_tune(
        backbone, make_data(), short, seed=1, on_epoch=lambda _, s: states.append(s)
    )
    with pytest.raises(TrainingError, match="data or settings changed"):
        fine_tune(backbone, make_data(), short, seed=2, checkpoint=states[0])
    relabelled = make_data()
    train = labelled(rattled("LiF", 8, 1), epsilon=0.2)  # same structures
    assert [i.key for i in train] == [i.key for i in relabelled.train]
    with pytest.raises(TrainingError, match="data or settings changed"):
        fine_tune(
            backbone,
            replace(relabelled, train=train),
            short,
            seed=1,
            checkpoint=states[0],
        )
    with pytest.raises(TrainingError, match="data or settings changed"):
        fine_tune(
            backbone,
            replace(relabelled, replay=relabelled.replay[1:]),
            short,
            seed=1,
            checkpoint=states[0],
        )
    with pytest.raises(TrainingError, match="cannot be read"):
        fine_tune(backbone, make_data(), short, seed=1, checkpoint=states[0][:100])


def test_a_loss_that_is_not_finite_stops_with_a_remedy(backbone: MaceBackbone) -> None:
    data = make_data()
    data.train[0].label.forces[0, 0] = np.nan
    with pytest.raises(TrainingError, match=r"loss became nan.*learning_rate"):
        fine_tune(backbone, data, SETTINGS, seed=1)


def test_a_validation_error_that_is_not_finite_stops_before_it_is_kept(
    backbone: MaceBackbone,
) -> None:
    data = make_data()
    data.valid[0].label.forces[0, 0] = np.nan
    kept: list[bytes] = []
    with pytest.raises(TrainingError, match=r"validation force RMSE became nan"):
        fine_tune(
            backbone, data, SETTINGS, seed=1, on_epoch=lambda _, s: kept.append(s)
        )
    assert not kept


class PredictOnly:
    """A backbone that has nothing beside its predictions."""

    name, elements, cutoff, sha256 = "argon", frozenset({"Ar"}), 8.0, "0" * 64

    def calculator(self) -> Any:
        raise AssertionError

    def predict(self, frames: Any, *, batch_atoms: int = 0) -> list[Any]:
        raise AssertionError


def test_unknown_elements_and_untrainable_models_are_refused(
    backbone: MaceBackbone,
) -> None:
    data = make_data()
    data.train[1].atoms.symbols[0] = "Na"
    with pytest.raises(UnknownElementError, match=r"does not know Na in frame 1"):
        fine_tune(backbone, data, SETTINGS, seed=1)
    for part in ("replay", "heldout"):
        data = make_data()
        getattr(data, part)[3].atoms.symbols[0] = "Au"
        with pytest.raises(
            UnknownElementError, match=r"Au in replay frame.*out of replay.source"
        ):
            fine_tune(backbone, data, SETTINGS, seed=1)
    with pytest.raises(BackboneError, match="argon cannot be fine-tuned by FIRE; set"):
        fine_tune(PredictOnly(), make_data(), SETTINGS, seed=1)
