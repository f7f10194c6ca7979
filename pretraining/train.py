"""Train fire-mini with MACE's own trainer, resumable, on the teacher's labels."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.children import python_command

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Size of the model and length of the training.

    The learning rate falls exponentially to a fifth over `epochs`; the second stage
    (`pretraining.anneal`) takes it to zero.
    """

    channels: int = 64
    r_max: float = 4.5
    epochs: int = 9
    batch_size: int = 24
    learning_rate: float = 5e-3
    seed: int = 2026
    device: str = "cpu"


def train(data: Path, workdir: Path, e0s: dict[int, float], plan: TrainingPlan) -> Path:
    """Run or continue the training in a child process; return the model's file.

    Parameters
    ----------
    data
        Folder with `train.extxyz` and `heldout.extxyz`.
    workdir
        Checkpoints, logs and the model; a second call continues from there.
    e0s
        Reference energy of each atomic number, eV.
    plan
        Model and schedule.

    Raises
    ------
    subprocess.CalledProcessError
        The trainer failed; its log is in `workdir`.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    references = "{" + ", ".join(f"{z}: {e!r}" for z, e in sorted(e0s.items())) + "}"
    decay = 0.2 ** (1.0 / plan.epochs)
    options = {
        "name": "fire-mini",
        "seed": plan.seed,
        "device": plan.device,
        "default_dtype": "float32",
        "model": "ScaleShiftMACE",
        "train_file": data / "train.extxyz",
        "valid_file": data / "heldout.extxyz",
        "E0s": references,
        "num_channels": plan.channels,
        "max_L": 0,
        "max_ell": 2,
        "correlation": 3,
        "num_interactions": 2,
        "r_max": plan.r_max,
        "num_radial_basis": 8,
        "radial_MLP": "[32, 32, 32]",
        "MLP_irreps": "16x0e",
        "interaction_first": "RealAgnosticResidualInteractionBlock",
        "scaling": "rms_forces_scaling",
        "loss": "universal",
        "energy_weight": 1.0,
        "forces_weight": 10.0,
        "stress_weight": 10.0,
        "batch_size": plan.batch_size,
        "valid_batch_size": 64,
        "max_num_epochs": plan.epochs,
        "lr": plan.learning_rate,
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": f"{decay:.6f}",
        "weight_decay": 1e-8,
        "ema_decay": 0.995,
        "clip_grad": 10.0,
        "eval_interval": 2,
        "patience": 1000,
        "error_table": "PerAtomMAE",
        "num_workers": 0,
        "model_dir": workdir,
        "log_dir": workdir / "logs",
        "checkpoints_dir": workdir / "checkpoints",
        "results_dir": workdir / "results",
    }
    command = python_command("mace.cli.run_train", quiet=True)
    command += [f"--{key}={value}" for key, value in options.items()]
    command += ["--pair_repulsion", "--ema", "--amsgrad", "--restart_latest"]
    logger.info("training %d epochs in %s", plan.epochs, workdir)
    subprocess.run(command, check=True)
    return workdir / "fire-mini.model"
