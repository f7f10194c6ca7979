"""Run mace-torch's own trainer on given structures, for comparison."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fire_core.children import python_command
from fire_core.storage.exchange import frame_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure

LINE = re.compile(
    r"^(?P<at>\S+ \S+) INFO: (?P<what>Initial|Epoch \d+): head: (?P<head>[^,]+), .*"
    r"RMSE_E_per_atom=\s*(?P<energy>[\d.]+) meV, RMSE_F=\s*(?P<force>[\d.]+) meV"
)


@dataclass(frozen=True, slots=True)
class PeerEpoch:
    """One epoch of mace_run_train: wall time with its validation, and errors.

    Seconds, meV/atom, meV/Å.
    """

    seconds: float
    energy_rmse: float
    force_rmse: float


@dataclass(frozen=True, slots=True)
class Peer:
    """The foundation model's file, frames in one batch, source of orders, device."""

    model: Path
    batch_size: int
    seed: int = 1
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class PeerRun:
    """A finished mace_run_train."""

    epochs: list[PeerEpoch]
    model: Path


def run_mace(
    folder: Path,
    parts: tuple[Sequence[LabelledStructure], Sequence[LabelledStructure]],
    config: TrainConfig,
    *,
    peer: Peer,
    replay: Sequence[LabelledStructure] = (),
) -> PeerRun:
    """Fine-tune with mace_run_train, naive or, with `replay`, multi-head.

    Parameters
    ----------
    folder
        Gets the data, logs and the model.
    parts
        Structures to train and to validate on, on the foundation's energy scale.
    config
        Epochs, learning rate, loss weights, average and clipping are taken from it.
    peer
        What to start from, and what its trainer has of its own.
    replay
        Pre-training structures for the second head.

    Raises
    ------
    RuntimeError
        The trainer failed; the message ends with what it wrote.
    """
    files = {}
    folder = folder.resolve()  # the trainer runs in it
    named = {"train": parts[0], "valid": parts[1], "replay": replay}
    for name, items in named.items():
        files[name] = folder / f"{name}.extxyz"
        write_frames(files[name], items)
    options: dict[str, Any] = {
        "name": "peer",
        "foundation_model": peer.model,
        "multiheads_finetuning": bool(replay),
        "foundation_model_elements": True,  # else a fine-tuned model drops the others
        "train_file": files["train"],
        "valid_file": files["valid"],
        "E0s": "foundation",
        "energy_key": "energy",
        "forces_key": "forces",
        "stress_key": "stress",
        "default_dtype": "float32",
        "device": peer.device,
        "seed": peer.seed,
        "loss": "universal",
        "energy_weight": config.energy_weight,
        "forces_weight": config.forces_weight,
        "stress_weight": config.stress_weight,
        "batch_size": peer.batch_size,
        "valid_batch_size": peer.batch_size,
        "max_num_epochs": config.epochs,
        "lr": config.learning_rate,
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": 0.01 ** (1.0 / max(config.epochs, 1)),
        "weight_decay": config.weight_decay,
        "ema_decay": config.ema_decay,
        "clip_grad": config.clip,
        "patience": 10_000,
        "num_workers": 0,
    }
    if replay:
        options |= {
            "pt_train_file": files["replay"],
            "force_mh_ft_lr": True,
            "num_samples_pt": len(replay),
        }
    command = python_command("mace.cli.run_train", quiet=True)
    command += [f"--{key}={value}" for key, value in options.items()]
    command += ["--ema", "--amsgrad", f"--work_dir={folder}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"mace_run_train failed: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return PeerRun(read_epochs(done.stdout + done.stderr), folder / "peer.model")


def read_epochs(log: str) -> list[PeerEpoch]:
    """Return the epochs of a log: times between its lines, errors of the last head."""
    epochs: list[PeerEpoch] = []
    previous, before = "", None
    for line in log.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        at = datetime.strptime(found["at"], "%Y-%m-%d %H:%M:%S.%f")
        errors = float(found["energy"]), float(found["force"])
        if found["what"] == previous and epochs:
            epochs[-1] = PeerEpoch(epochs[-1].seconds, *errors)
        elif found["what"] != "Initial" and before is not None:
            epochs.append(PeerEpoch((at - before).total_seconds(), *errors))
        previous, before = found["what"], at
    return epochs


def write_frames(path: Path, items: Sequence[LabelledStructure]) -> None:
    """Write labelled structures as extended XYZ."""
    texts = [
        frame_text(
            item.atoms,
            energy=item.label.energy,
            forces=item.label.forces,
            stress=item.label.stress,
        )
        for item in items
    ]
    path.write_text("".join(texts), encoding="utf-8")
