"""One training of the table of real models: how it is set, run and judged.

Each training is three files in a folder: its checkpoint while it runs, then the model
and what was seen on the way, and once it has been judged the errors. What is there
already is not done again, so that a stopped run goes on.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks.blocks import USUAL, load_blocks, load_pretraining
from fire_core.backbones.registry import load_backbone, same_family
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.config.training import TrainConfig
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.blocks import Sizes
    from fire_core.records import EpochRecord, LabelledStructure

Strategy = Literal["naive", "replay", "elements"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("naive", "replay", "elements")
"""Without rehearsal; with it; with it, where only weights that atoms of the target's
elements alone have may change (`adapt: elements`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the strategies of a backbone on a system share, and what is of some alone.

    Attributes
    ----------
    epochs, learning_rate, batch_frames
        Equal for both; with the frames they fix the number of optimiser steps.
    energy, forces, stress
        Weights of the loss.
    ratio, weight
        Replay frames to a target frame, and what one counts.
    elements_weight
        What one counts where only weights of the target's elements change.
    """

    epochs: int = 10
    learning_rate: float = 2e-3
    batch_frames: int = 2
    energy: float = 1.0
    forces: float = 10.0
    stress: float = 1.0
    ratio: float = 4.0
    weight: float = 0.025
    elements_weight: float = 0.025

    def config(self, strategy: Strategy) -> TrainConfig:
        """Return the training's configuration."""
        return TrainConfig.model_validate(
            {
                "strategy": "naive" if strategy == "naive" else "replay",
                "adapt": "elements" if strategy == "elements" else "all",
                "epochs": self.epochs,
                "learning_rate": self.learning_rate,
                "batch_frames": self.batch_frames,
                "energy_weight": self.energy,
                "forces_weight": self.forces,
                "stress_weight": self.stress,
                "replay": {
                    "source": "mptrj",
                    "ratio": self.ratio,
                    "weight": (
                        self.elements_weight if strategy == "elements" else self.weight
                    ),
                },
            }
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One training: of which backbone, on which system, how, from which seed."""

    backbone: str
    system: str
    strategy: Strategy
    settings: Settings
    seed: int = 0

    @property
    def name(self) -> str:
        """The case for a person."""
        return f"{self.system} {self.backbone} {self.strategy} seed {self.seed}"

    def key(self, sizes: Sizes) -> str:
        """Return the name of its files, by all that the training depends on."""
        config = self.settings.config(self.strategy)
        without = {"replay"} if self.strategy == "naive" else set()
        text = config.model_dump_json(exclude=without) + json.dumps(asdict(sizes))
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.system}-{self.backbone}-{self.strategy}-s{self.seed}-{digest}"


@functools.lru_cache(maxsize=1)
def watch_foundation(name: str, sizes: Sizes) -> float:
    """Return the force MAE of a foundation model on the watched frames, meV/Å."""
    model = load_foundation(name)
    watched = load_pretraining(model.elements, sizes).watched
    return measure_forgetting(model, watched).force_mae


@functools.lru_cache(maxsize=1)
def load_foundation(name: str) -> Trainable:
    """Return a foundation model, kept for the next case of the same."""
    return need_trainable(load_backbone(name, device="cpu"))


def train_case(case: Case, sizes: Sizes, work: Path) -> dict[str, Any]:
    """Train what is not trained yet; return what was seen on the way.

    The test block and the judged part of MPtrj are not looked at.
    """
    key = case.key(sizes)
    seen = work / f"{key}.train.json"
    if seen.is_file():
        return dict(json.loads(seen.read_text()))
    foundation = load_foundation(case.backbone)
    blocks = load_blocks(case.system, foundation.elements, sizes)
    rehearsed = load_pretraining(foundation.elements, sizes)
    config = case.settings.config(case.strategy)
    checkpoint = work / f"{key}.checkpoint"

    def keep(record: EpochRecord, state: bytes) -> None:
        _replace(checkpoint, state)
        _tell(case, record)

    tuned = fine_tune(
        foundation,
        TrainingData(blocks.train, blocks.valid, rehearsed.replay, rehearsed.watched),
        config,
        seed=case.seed,
        checkpoint=checkpoint.read_bytes() if checkpoint.is_file() else None,
        on_epoch=keep,
    )
    path = work / f"{key}.model"
    _replace(path, tuned.model)
    last = tuned.records[-1]
    model = load_backbone(same_family(case.backbone, path), device="cpu")
    watched = [
        watch_foundation(case.backbone, sizes),
        measure_forgetting(model, rehearsed.watched).force_mae,
    ]
    made = [record.steps for record in tuned.records if record.steps is not None]
    figures: dict[str, Any] = {
        **asdict(case),
        "n_train": len(blocks.train),
        "steps": sum(step.n_steps for step in made),
        "target_frames_a_step": made[-1].target_frames,
        "replay_frames_a_step": made[-1].replay_frames,
        "replay_atoms_of_target_atoms": made[-1].replay_atoms / made[-1].target_atoms,
        "replay_set": len(rehearsed.replay) if config.rehearses else 0,
        "left_out_of_mptrj": rehearsed.left_out,
        "seconds": sum(record.seconds for record in tuned.records),
        "epoch_seconds": [record.seconds for record in tuned.records],
        "valid_energy_rmse": last.valid.energy_rmse,
        "valid_force_rmse": last.valid.force_rmse,
        "watched_force_mae": watched,
    }
    _replace(seen, json.dumps(figures).encode())
    checkpoint.unlink()
    return figures


def judge_case(case: Case, sizes: Sizes, work: Path) -> dict[str, Any]:
    """Train and judge a case; return its figures."""
    done = work / f"{case.key(sizes)}.json"
    if not done.is_file():
        figures = train_case(case, sizes, work)
        path = work / f"{case.key(sizes)}.model"
        tuned = load_backbone(same_family(case.backbone, path), device="cpu")
        figures |= judge(tuned, case.system, sizes)
        _replace(done, json.dumps(figures).encode())
    return dict(json.loads(done.read_text()))


def judge_foundation(
    backbone: str, system: str, sizes: Sizes, work: Path
) -> dict[str, Any]:
    """Judge a foundation model as it is, its energies shifted as FIRE shifts them."""
    text = hashlib.sha256(json.dumps(asdict(sizes)).encode()).hexdigest()[:8]
    done = work / f"{system}-{backbone}-as-it-is-{text}.json"
    if not done.is_file():
        model = load_foundation(backbone)
        train = load_blocks(system, model.elements, sizes).train
        shift = fit_references(train, model.predict([i.atoms for i in train])).shift
        figures = {
            "backbone": backbone,
            "system": system,
            "strategy": "as it is",
            **judge(model, system, sizes, shift),
        }
        _replace(done, json.dumps(figures).encode())
    return dict(json.loads(done.read_text()))


def judge(
    model: Any, system: str, sizes: Sizes, shift: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return errors on the test block and on held-out MPtrj frames.

    meV/atom; meV/Å, of each component of the forces. The usual MPtrj frames are those
    that were drawn at random, the others those that were drawn for high stress.
    """
    blocks = load_blocks(system, model.elements, sizes)
    judged = load_pretraining(model.elements, sizes).judged
    usual = [item for item in judged if item.theory == USUAL]
    energy, force = _errors(model, blocks.test, shift or {})
    return {
        "energy_rmse_mev_per_atom": energy,
        "force_rmse_mev_per_angstrom": force,
        "n_test": len(blocks.test),
        "mptrj_force_mae": measure_forgetting(model, judged).force_mae,
        "n_mptrj": len(judged),
        "mptrj_usual_force_mae": measure_forgetting(model, usual).force_mae,
        "n_mptrj_usual": len(usual),
    }


def _errors(
    model: Any, items: Sequence[LabelledStructure], shift: Mapping[str, float]
) -> tuple[float, float]:
    frames = [item.atoms for item in items]
    predicted = shift_energies(model.predict(frames), frames, shift)
    errors = summarise_errors(predicted, items)
    return errors.energy_rmse, errors.force_rmse


def _tell(case: Case, record: EpochRecord) -> None:
    text = (
        f"{case.name}, epoch {record.epoch + 1} of {case.settings.epochs}: validation "
        f"{record.valid.force_rmse:.1f} meV/Å, {record.valid.energy_rmse:.2f} meV/atom"
    )
    if record.forgetting_force_mae is not None:
        text += f", MPtrj {record.forgetting_force_mae:.1f} meV/Å"
    text += f" ({record.seconds:.0f} s"
    if record.epoch == 0:
        text += f"; {record.seconds * case.settings.epochs:.0f} s in all"
    print(f"{text})", flush=True)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
