"""Train fire-mini on the teacher's labels, with FIRE's own trainer.

``python -m pretraining.train data training`` begins or goes on: after each epoch there
is a checkpoint. Several processes share each step on a CPU, too (`--devices`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.io import read

from fire_core.backbones.assets import labelled
from fire_core.backbones.mace import MaceBackbone, load_mace
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.torch_types import default_dtype
from fire_core.config.training import TrainConfig
from fire_core.training.data import TrainingData, sample_evenly
from fire_core.training.parallel import joined, start_processes, was_started
from fire_core.training.trainer import fine_tune
from pretraining.chemistry import ELEMENTS
from pretraining.extend import ANALOGS, extend_elements, refit_energies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import EpochRecord, LabelledStructure

TEACHER: Final = "sevennet-l3i5"
N_VALID: Final = 400
INITIAL: Final = "initial.model"
MODEL: Final = "fire-mini.model"
CHECKPOINT: Final = "checkpoint"


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Size of the model and length of the training.

    The learning rate is warmed up and falls to a hundredth by a cosine over `epochs`.
    It begins with the weights of `start`, a name or a file, which learns the elements
    that it lacks; where that is empty, with random ones of the size given here. Frames
    with a force above `largest_force`, eV/Å, are left out; families of `twice` count
    double.
    """

    start: str = "fire-mini"
    channels: int = 64
    max_ell: int = 2
    r_max: float = 4.5
    epochs: int = 2
    batch_frames: int = 16
    learning_rate: float = 4e-3
    energy_weight: float = 4.0
    forces_weight: float = 10.0
    stress_weight: float = 40.0
    ema_decay: float = 0.998
    largest_force: float = 15.0
    twice: tuple[str, ...] = ()
    seed: int = 2026

    def config(self) -> TrainConfig:
        """Return the plan as FIRE's training has it."""
        return TrainConfig.model_validate(
            {
                "strategy": "naive",
                "adapt": "all",
                "references": {"method": "keep"},
                "epochs": self.epochs,
                "batch_frames": self.batch_frames,
                "part_atoms": 4096,
                "learning_rate": self.learning_rate,
                "energy_weight": self.energy_weight,
                "forces_weight": self.forces_weight,
                "stress_weight": self.stress_weight,
                "ema_decay": self.ema_decay,
            }
        )


def new_network(
    frames: Sequence[LabelledStructure],
    references: dict[int, float],
    plan: TrainingPlan,
) -> Any:
    """Return a ScaleShiftMACE with random weights, scaled to the frames.

    Parameters
    ----------
    frames
        Their forces set the scale, their neighbours the average number.
    references
        Energy of each atomic number, eV.
    plan
        Size, and the seed of the weights.
    """
    from fire_core.backbones.mace import import_mace

    import_mace()
    import torch
    from e3nn.o3 import Irreps
    from mace.modules import ScaleShiftMACE, gate_dict, interaction_classes

    block = interaction_classes["RealAgnosticResidualInteractionBlock"]
    forces = np.concatenate([item.label.forces.ravel() for item in frames])
    numbers = sorted(references)
    torch.manual_seed(plan.seed)
    with default_dtype(torch.float32):
        return ScaleShiftMACE(
            r_max=plan.r_max,
            num_bessel=8,
            num_polynomial_cutoff=5,
            max_ell=plan.max_ell,
            interaction_cls=block,
            interaction_cls_first=block,
            num_interactions=2,
            num_elements=len(numbers),
            hidden_irreps=Irreps(f"{plan.channels}x0e"),
            MLP_irreps=Irreps("16x0e"),
            gate=gate_dict["silu"],
            atomic_energies=np.array([references[z] for z in numbers]),
            avg_num_neighbors=mean_neighbours(frames, plan.r_max),
            atomic_numbers=numbers,
            correlation=3,
            radial_MLP=[32, 32, 32],
            pair_repulsion=True,
            atomic_inter_scale=float(np.sqrt(np.mean(forces**2))),
            atomic_inter_shift=0.0,
        )


def begin(
    frames: Sequence[LabelledStructure],
    references: dict[int, float],
    plan: TrainingPlan,
) -> Any:
    """Return the network that a plan begins with; its references fit the frames.

    Where the plan has no `start`, `new_network` of the same arguments.
    """
    if not plan.start:
        return new_network(frames, references, plan)
    import torch

    start: Any = load_backbone(plan.start, device="cpu", dtype="float32")
    extended = extend_elements(start.model, ELEMENTS, ANALOGS)
    backbone = MaceBackbone(
        extended, name="start", sha256=start.sha256, device="cpu", dtype="float32"
    )
    energies = refit_energies(backbone, sample_evenly(frames, len(frames) // 20))
    table = extended.atomic_energies_fn.atomic_energies
    fitted = torch.tensor([energies[z] for z in sorted(energies)], dtype=table.dtype)
    extended.atomic_energies_fn.atomic_energies = fitted.reshape(table.shape)
    return extended


def read_part(
    path: Path, plan: TrainingPlan, *, twice: bool
) -> list[LabelledStructure]:
    """Return the labelled frames of a file that a plan takes, some of them twice."""
    frames = [
        frame
        for frame in read(path, index=":")
        if np.abs(frame.get_forces()).max() <= plan.largest_force
    ]
    if twice:
        frames += [f for f in frames if f.info["family"] in plan.twice]
    return [labelled(frame, TEACHER) for frame in frames]


def mean_neighbours(frames: Sequence[LabelledStructure], cutoff: float) -> float:
    """Return the mean number of neighbours of an atom within a cutoff in Å."""
    from ase.neighborlist import neighbor_list

    some = sample_evenly(frames, 400)
    pairs = sum(len(neighbor_list("i", item.atoms, cutoff)) for item in some)
    return pairs / sum(len(item.atoms) for item in some)


def train(data: Path, workdir: Path, plan: TrainingPlan) -> Path:
    """Run or go on with the training; return the model's file.

    Parameters
    ----------
    data
        Folder with `train.extxyz`, `heldout.extxyz` and `references.json`, eV by
        atomic number.
    workdir
        Checkpoint, records of epochs and the model.
    plan
        Model and schedule.
    """
    import torch

    workdir.mkdir(parents=True, exist_ok=True)
    parts = {
        name: read_part(data / f"{name}.extxyz", plan, twice=name == "train")
        for name in ("train", "heldout")
    }
    references = json.loads((data / "references.json").read_text())
    initial = workdir / INITIAL
    with joined("cpu") as group:
        with group.leader_first():
            if group.leads and not initial.exists():
                energies = {int(z): e for z, e in references.items()}
                torch.save(begin(parts["train"], energies, plan), initial)
        backbone = load_mace(initial, name="fire-mini", device="cpu", dtype="float32")
        checkpoint = workdir / CHECKPOINT

        def keep(record: EpochRecord, state: bytes) -> None:
            partial = workdir / f"{CHECKPOINT}.partial"
            partial.write_bytes(state)
            partial.replace(checkpoint)
            with (workdir / "epochs.jsonl").open("a") as stream:
                stream.write(json.dumps(asdict(record)) + "\n")

        tuned = fine_tune(
            backbone,
            TrainingData(
                parts["train"], sample_evenly(parts["heldout"], N_VALID), [], []
            ),
            plan.config(),
            seed=plan.seed,
            checkpoint=checkpoint.read_bytes() if checkpoint.is_file() else None,
            on_epoch=keep,
        )
        if group.leads:
            (workdir / MODEL).write_bytes(tuned.model)
    return workdir / MODEL


def train_in_processes(
    data: Path, workdir: Path, plan: TrainingPlan, devices: int
) -> Path:
    """Train in so many processes that share each step; return the model's file."""
    arguments = [str(data), str(workdir), "--plan", json.dumps(asdict(plan))]
    start_processes(devices, "pretraining.train", arguments)
    return workdir / MODEL


def main() -> int:
    """Train; return the exit status."""
    parser = argparse.ArgumentParser(prog="pretraining.train", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--plan", type=json.loads, default={}, help="JSON")
    parser.add_argument("--devices", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    plan = TrainingPlan(**arguments.plan)
    if arguments.devices > 1 and not was_started():
        train_in_processes(arguments.data, arguments.workdir, plan, arguments.devices)
    else:
        train(arguments.data, arguments.workdir, plan)
    return 0


if __name__ == "__main__":
    sys.exit(main())
