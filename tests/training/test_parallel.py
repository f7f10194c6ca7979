"""Processes that share each step end where one process ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.training.data import TrainingData
from fire_core.training.parallel import ALONE, current_group
from fire_core.training.trainer import fine_tune
from tests.training.conftest import labelled, make_backbone, rattled
from tests.training.test_stepping import make_stepper, small_memory, weights

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = TrainConfig(
    epochs=3,
    batch_frames=2,
    learning_rate=5e-3,
    ema_decay=0.5,
    replay=ReplayConfig(ratio=1.0, weight=1.0),
)


def make_data() -> TrainingData:
    return TrainingData(
        train=labelled([a.repeat((2, 1, 1)) for a in rattled("LiF", 7, 1)]),
        valid=labelled(rattled("LiF", 4, 2)),
        replay=labelled(rattled("LiCl", 10, 3), epsilon=0.05),
        heldout=labelled(rattled("LiCl", 4, 4), epsilon=0.05),
    )


def train(checkpoint: bytes | None = None) -> dict[str, Any]:
    """Train in double precision; return what the epochs reached and the weights."""
    states = []
    tuned = fine_tune(
        make_backbone(dtype="float64"),
        make_data(),
        SETTINGS,
        seed=5,
        checkpoint=checkpoint,
        on_epoch=lambda _, state: states.append(state),
    )
    errors = [
        (r.train_loss, r.valid.force_rmse, r.valid.energy_rmse, r.forgetting_force_mae)
        for r in tuned.records
    ]
    return {"errors": errors, "model": tuned.model, "states": states}


def weights_of(model: bytes) -> np.ndarray[Any, Any]:
    import io

    import torch

    read = torch.load(io.BytesIO(model), weights_only=False)
    return np.concatenate([p.detach().numpy().ravel() for p in read.parameters()])


def in_two_processes(folder: Path) -> None:
    """Run this module in processes that torchrun joins."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "tests.training.test_parallel"]
    done = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return train()


@pytest.fixture(scope="module")
def together(alone: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "first").write_bytes(alone["states"][0])
    in_two_processes(folder)
    return folder


def test_two_processes_train_as_one(alone: dict[str, Any], together: Path) -> None:
    leading = (together / "0.model").read_bytes()
    assert leading == (together / "1.model").read_bytes()
    expected = weights_of(alone["model"])
    assert weights_of(leading) == pytest.approx(expected, rel=0, abs=1e-9)
    told = [json.loads((together / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert np.allclose(told[0]["errors"], alone["errors"], rtol=1e-7)
    assert told[0]["committed"] == SETTINGS.epochs
    assert told[1]["committed"] == 0  # the leading process writes


def test_they_go_on_from_the_checkpoint_of_one(
    alone: dict[str, Any], together: Path
) -> None:
    resumed = weights_of((together / "0.resumed").read_bytes())
    assert resumed == pytest.approx(weights_of(alone["model"]), rel=0, abs=1e-9)


def test_memory_that_runs_out_in_one_makes_parts_in_all(together: Path) -> None:
    whole, graphs = make_stepper()
    loss = whole.step(graphs)
    for rank in (0, 1):
        told = json.loads((together / f"{rank}.step.json").read_text())
        assert told["n_parts"] == 2
        assert told["loss"] == pytest.approx(loss, rel=1e-12)
        assert np.allclose(told["weights"], weights(whole), rtol=0, atol=1e-14)


def test_without_torchrun_a_process_is_alone() -> None:
    assert current_group() is ALONE
    assert ALONE.leads
    assert ALONE.mine(["a", "b"]) == ["a", "b"]
    assert ALONE.collect([1]) == [1]


def train_and_resume(folder: Path, rank: int) -> None:
    result = train()
    (folder / f"{rank}.model").write_bytes(result["model"])
    told = {"errors": result["errors"], "committed": len(result["states"])}
    (folder / f"{rank}.json").write_text(json.dumps(told))
    again = train((folder / "first").read_bytes())
    (folder / f"{rank}.resumed").write_bytes(again["model"])


def step_short_of_memory(folder: Path, rank: int) -> None:
    one_frame = small_memory(32)
    stepper, graphs = make_stepper(one_frame if rank == 0 else None)
    loss = stepper.step(graphs)
    told = {"loss": loss, "n_parts": stepper.n_parts}
    (folder / f"{rank}.step.json").write_text(
        json.dumps({**told, "weights": weights(stepper).tolist()})
    )


if __name__ == "__main__":
    from fire_core.training.parallel import joined

    with joined("cpu") as group:
        train_and_resume(Path(sys.argv[1]), group.rank)
        step_short_of_memory(Path(sys.argv[1]), group.rank)
