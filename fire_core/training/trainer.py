"""Replay fine-tuning: our epochs around MACE's own step and loss."""

from __future__ import annotations

import copy
import hashlib
import io
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.base import pack_by_atoms, refuse_unknown_elements
from fire_core.backbones.mace import MaceBackbone, default_dtype, predict_graphs
from fire_core.backbones.repeatable import repeatable
from fire_core.errors import BackboneError, TrainingError
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.references import fit_reference_shift, shift_energies
from fire_core.records import EpochRecord, LabelledStructure
from fire_core.training.batches import GraphCache, epoch_batches, interleave
from fire_core.training.checkpoints import pack_checkpoint, unpack_checkpoint
from fire_core.training.replay import Draw, choose_source, draw_replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import TrainConfig
    from fire_core.records import ErrorSummary

HUBER_DELTA: Final = 0.01
WARM_UP: Final = 0.05  # part of all steps
FORGETTING_FRAMES: Final = 64  # held-out structures judged after each epoch
EVALUATION_ATOMS: Final = 768


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a fine-tuning learns from and is watched on.

    Attributes
    ----------
    train, valid
        Target labels; the errors on `valid` are recorded (on `train` if empty).
    replay, heldout
        Pre-training structures to rehearse, and to measure forgetting on.
    """

    train: Sequence[LabelledStructure]
    valid: Sequence[LabelledStructure]
    replay: Sequence[LabelledStructure]
    heldout: Sequence[LabelledStructure]


@dataclass(frozen=True, slots=True, eq=False)
class FineTuned:
    """A finished training.

    Attributes
    ----------
    model
        Bytes of a MACE model file, holding the averaged weights.
    records
        One for each epoch.
    """

    model: bytes
    records: list[EpochRecord]


def fine_tune(
    backbone: Backbone,
    data: TrainingData,
    config: TrainConfig,
    *,
    seed: int,
    checkpoint: bytes | None = None,
    on_epoch: Callable[[EpochRecord, bytes], None] | None = None,
) -> FineTuned:
    """Fine-tune a MACE model on labelled structures, rehearsing its pre-training.

    Every epoch sees all of `data.train` and, with the replay strategy, a fresh
    subsample of `data.replay` (FIRE's replay-augmented scheme). Both live on the
    foundation's energy scale: the per-element difference of the target's theory is
    fitted before training (`evaluation.references`), taken out of the target's
    energies, and added to the atomic energies of the model that is returned, which
    so predicts the target theory's energies. Forces are never shifted.

    The loss is MACE's universal (conditional Huber) loss; the weights kept are an
    exponential moving average. Sums are made in a fixed order, so a training
    resumed from a checkpoint ends as if it had not stopped.

    Parameters
    ----------
    backbone
        Foundation model; not changed.
    data
        What to learn from; not changed.
    config
        Settings.
    seed
        Source of every order and draw.
    checkpoint
        What `on_epoch` was given after the last finished epoch.
    on_epoch
        Called after each epoch with its record and the checkpoint.

    Raises
    ------
    BackboneError
        The model cannot be trained.
    UnknownElementError
        A structure holds an element that the model does not know.
    TrainingError
        There is nothing to train on, the loss is not finite, or the checkpoint
        belongs to another training.
    """
    if not isinstance(backbone, MaceBackbone):
        msg = f"{backbone.name} cannot be fine-tuned; choose fire-mini or a MACE model"
        raise BackboneError(msg)
    if not data.train:
        msg = "expected at least one labelled structure to train on, got none"
        raise TrainingError(msg)
    _refuse_unknown(backbone, data)
    shift = _reference_shift(backbone, data.train, config)
    run = _Run(backbone, data, config, seed, shift)
    with repeatable(backbone.device):
        records = run.resume(checkpoint)
        for epoch in range(len(records), config.epochs):
            records.append(run.epoch(epoch))
            if on_epoch is not None:
                on_epoch(records[-1], run.pack(records))
    return FineTuned(run.export(shift), records)


class _Run:
    """One training: model, optimiser, average, schedule and the data's graphs."""

    def __init__(
        self,
        backbone: MaceBackbone,
        data: TrainingData,
        config: TrainConfig,
        seed: int,
        shift: Mapping[str, float],
    ) -> None:
        import torch
        from mace.modules import UniversalLoss
        from torch_ema import ExponentialMovingAverage

        self.config, self.seed, self.device = config, seed, backbone.device
        train, valid = (_aligned(items, shift) for items in (data.train, data.valid))
        self.valid = valid or train
        replaying = config.strategy == "replay" and config.replay.ratio > 0
        source: list[LabelledStructure] = []
        if replaying:
            source = choose_source(data.replay, train, config.replay)
        self.n_replay = round(config.replay.ratio * len(train)) if source else 0
        self.target = GraphCache(backbone, train)
        self.replay = GraphCache(backbone, source, config.replay.weight)
        self.heldout = _sample(data.heldout, FORGETTING_FRAMES)
        self.valid_graphs = [backbone.graph(i.atoms, i.label) for i in self.valid]
        self.heldout_graphs = [backbone.graph(i.atoms, i.label) for i in self.heldout]
        self.model = copy.deepcopy(backbone.model)
        parameters = list(self.model.parameters())
        for parameter in parameters:
            parameter.requires_grad_(requires_grad=True)
        self.loss = UniversalLoss(
            energy_weight=config.energy_weight,
            forces_weight=config.forces_weight,
            stress_weight=config.stress_weight,
            huber_delta=HUBER_DELTA,
        ).to(device=self.device, dtype=backbone.dtype)
        self.optimizer = torch.optim.Adam(
            parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            amsgrad=True,
        )
        self.ema = ExponentialMovingAverage(parameters, decay=config.ema_decay)
        self.dtype = backbone.dtype
        n_steps = config.epochs * len(self._batches(0, self._draw(0)))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _learning_rate(step, n_steps)
        )
        self.identity = _identity(
            config, seed, backbone.sha256, (train, valid, source, self.heldout)
        )

    def resume(self, checkpoint: bytes | None) -> list[EpochRecord]:
        if checkpoint is None:
            return []
        return unpack_checkpoint(checkpoint, self._parts(), self.identity)

    def pack(self, records: Sequence[EpochRecord]) -> bytes:
        return pack_checkpoint(self._parts(), records, self.identity)

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "ema": self.ema,
            "schedule": self.schedule,
        }

    def _draw(self, epoch: int) -> Draw:
        return draw_replay(len(self.replay), self.n_replay, self.seed, epoch)

    def _batches(self, epoch: int, draw: Draw) -> list[list[Any]]:
        order = interleave(len(self.target), draw.indices, [self.seed, epoch, 1])
        return epoch_batches(self.target, self.replay, order, self.config.batch_atoms)

    def epoch(self, epoch: int) -> EpochRecord:
        start = time.monotonic()
        draw = self._draw(epoch)
        losses = [self._step(epoch, graphs) for graphs in self._batches(epoch, draw)]
        with self.ema.average_parameters():
            valid = self._judge(self.valid, self.valid_graphs)
            forgetting = None
            if self.heldout:
                forgetting = self._judge(self.heldout, self.heldout_graphs).force_mae
        self._refuse_nonfinite("validation force RMSE", valid.force_rmse, epoch)
        return EpochRecord(
            epoch=epoch,
            train_loss=float(np.mean(losses)),
            valid=valid,
            forgetting_force_mae=forgetting,
            learning_rate=float(self.optimizer.param_groups[0]["lr"]),
            n_target=len(self.target),
            n_replay=len(draw.indices),
            replay_digest=draw.digest,
            seconds=time.monotonic() - start,
        )

    def _step(self, epoch: int, graphs: list[Any]) -> float:
        from mace.tools.torch_geometric import Batch
        from mace.tools.train import take_step

        self.model.train()
        with default_dtype(self.dtype):
            loss, _ = take_step(
                model=self.model,
                loss_fn=self.loss,
                batch=Batch.from_data_list(graphs),
                optimizer=self.optimizer,
                ema=self.ema,
                output_args={"forces": True, "virials": False, "stress": True},
                max_grad_norm=self.config.clip,
                device=self.device,
            )
        self.schedule.step()
        value = float(loss.detach())
        self._refuse_nonfinite("loss", value, epoch)
        return value

    def _refuse_nonfinite(self, what: str, value: float, epoch: int) -> None:
        if not math.isfinite(value):
            msg = (
                f"the {what} became {value} in epoch {epoch}; lower learning_rate (now "
                f"{self.config.learning_rate}) or look for a broken label"
            )
            raise TrainingError(msg)

    def _judge(
        self, items: Sequence[LabelledStructure], graphs: Sequence[Any]
    ) -> ErrorSummary:
        self.model.eval()
        labels = []
        for part in pack_by_atoms([len(i.atoms) for i in items], EVALUATION_ATOMS):
            labels += predict_graphs(self.model, [graphs[i] for i in part], self.device)
        return summarise_errors(labels, items)

    def export(self, shift: Mapping[str, float]) -> bytes:
        """Return the averaged model on the target's energy scale as a file."""
        import torch
        from ase.data import chemical_symbols

        model = copy.deepcopy(self.model)
        self.ema.copy_to(model.parameters())
        energies = model.atomic_energies_fn.atomic_energies
        offsets = [
            shift.get(chemical_symbols[int(z)], 0.0) for z in model.atomic_numbers
        ]
        energies.data += torch.tensor(offsets, dtype=energies.dtype, device=self.device)
        buffer = io.BytesIO()
        torch.save(model.to("cpu").eval(), buffer)
        return buffer.getvalue()


def _reference_shift(
    backbone: MaceBackbone, train: Sequence[LabelledStructure], config: TrainConfig
) -> dict[str, float]:
    if config.reference_energies == "keep":
        return {}
    return fit_reference_shift(train, backbone.predict([i.atoms for i in train]))


def _aligned(
    items: Sequence[LabelledStructure], shift: Mapping[str, float]
) -> list[LabelledStructure]:
    """Return labels on the foundation's energy scale."""
    back = {symbol: -value for symbol, value in shift.items()}
    labels = shift_energies([i.label for i in items], [i.atoms for i in items], back)
    return [replace(i, label=label) for i, label in zip(items, labels, strict=True)]


def _sample(items: Sequence[LabelledStructure], most: int) -> list[LabelledStructure]:
    """Return at most `most` items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _learning_rate(step: int, n_steps: int) -> float:
    """Return the factor on the peak rate: linear warm-up, then cosine to 1 %."""
    warm = max(1, round(WARM_UP * n_steps))
    if step < warm:
        return (step + 1) / warm
    progress = min(1.0, (step - warm) / max(1, n_steps - warm))
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def _refuse_unknown(backbone: MaceBackbone, data: TrainingData) -> None:
    """Refuse elements that the model does not know, before anything is computed."""
    known, name = backbone.elements, backbone.name
    target = [item.atoms for item in (*data.train, *data.valid)]
    refuse_unknown_elements(target, known, name)
    rehearsed = [item.atoms for item in (*data.replay, *data.heldout)]
    remedy = "Leave such frames out of replay.source: the model was not trained on them"
    refuse_unknown_elements(rehearsed, known, name, what="replay frame", remedy=remedy)


def _identity(
    config: TrainConfig,
    seed: int,
    sha256: str,
    parts: Sequence[Sequence[LabelledStructure]],
) -> str:
    """Return a hash of all that a training's course depends on, labels included."""
    digest = hashlib.sha256(f"{config.model_dump_json()}|{seed}|{sha256}".encode())
    for part in parts:
        digest.update(f"|{len(part)}".encode())
        for item in part:
            digest.update(f"{item.key}{item.theory}".encode())
            digest.update(np.asarray(item.label.forces, "<f8").tobytes())
    return digest.hexdigest()[:16]
