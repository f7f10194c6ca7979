"""Fine-tuning with replay of any backbone that is `Trainable`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.batch_sizes import BatchSizes
from fire_core.backbones.repeatable import repeatable
from fire_core.backbones.torch_types import default_dtype
from fire_core.backbones.trainable import (
    adapts_elements,
    elements_of,
    in_layout,
    need_trainable,
)
from fire_core.errors import TrainingError
from fire_core.evaluation.errors import summarise_errors
from fire_core.records import EpochRecord
from fire_core.training.alignment import find_shift, to_foundation_scale
from fire_core.training.allocator import kept_pages
from fire_core.training.batches import (
    Examples,
    count_replay,
    epoch_steps,
)
from fire_core.training.checkpoints import (
    pack_checkpoint,
    recorded_layout,
    unpack_checkpoint,
)
from fire_core.training.data import (
    TrainingData,
    identify,
    refuse_unknown,
    sample_evenly,
)
from fire_core.training.parallel import current_group
from fire_core.training.rehearsal import Relabelled
from fire_core.training.replay import draw_replay, prepare_replay
from fire_core.training.schedule import Schedule
from fire_core.training.stepping import Stepper
from fire_core.training.stopping import choose_epoch, is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.evaluation.references import ReferenceFit
    from fire_core.records import ErrorSummary, LabelledStructure

FORGETTING_FRAMES: Final = 64  # held-out structures judged after each epoch
EVALUATION_ATOMS: Final = 768


@dataclass(frozen=True, slots=True, eq=False)
class FineTuned:
    """A finished training.

    Attributes
    ----------
    model
        Bytes of a model file of the backbone's family, holding the averaged weights.
    records
        One for each epoch that was run.
    references
        The energies by which the target's theory differs from the foundation's.
    kept
        Index of the epoch whose weights `model` holds.
    start_forgetting
        Force MAE of the foundation model on the held-out pre-training structures
        that the records look at, meV/Å; None without such a set.
    adapted
        Elements whose own weights alone were trained (`adapt`); None: all weights.
    """

    model: bytes
    records: list[EpochRecord]
    references: ReferenceFit
    kept: int
    start_forgetting: float | None
    adapted: tuple[str, ...] | None = None


def fine_tune(
    backbone: Backbone,
    data: TrainingData,
    config: TrainConfig,
    *,
    seed: int,
    checkpoint: bytes | None = None,
    on_epoch: Callable[[EpochRecord, bytes], None] | None = None,
) -> FineTuned:
    """Train a backbone on labelled structures, rehearsing its pre-training.

    Every epoch sees all of `data.train` and, with a replay strategy, a fresh
    subsample of `data.replay` (FIRE's replay-augmented scheme), of which every
    optimiser step gets its even share (`training.batches`). Both live on the
    foundation's energy scale: the per-element difference of the target's theory is
    fitted before training (`training.alignment`), taken out of the target's
    energies, and added to the atomic energies of the model that is returned, which
    so predicts the target theory's energies. Forces are never shifted.

    The loss is MACE's universal (conditional Huber) loss of each kind of frames
    (`training.loss`); the
    weights kept are an exponential moving average. Sums are made in a fixed order,
    so a training resumed from a checkpoint ends as if it had not stopped. Joined
    processes (`training.parallel`) share each step; all are given the same arguments.

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
        What `on_epoch` was given after the last finished epoch. The training goes on
        with the layers that it began with, such as cuEquivariance's, whatever the
        backbone's are.
    on_epoch
        Called after each epoch with its record and the checkpoint; in the leading
        one of joined processes.

    Raises
    ------
    BackboneError
        The model cannot be trained, or the layers that the training began with are not
        installed here.
    UnknownElementError
        A structure holds an element that the model does not know.
    TrainingError
        There is nothing to train on, the loss is not finite, or the checkpoint
        belongs to another training.
    """
    foundation = need_trainable(backbone)
    if checkpoint is not None:
        foundation = in_layout(foundation, recorded_layout(checkpoint))
    if not data.train:
        msg = "expected at least one labelled structure to train on, got none"
        raise TrainingError(msg)
    refuse_unknown(foundation, data, config)
    with repeatable(foundation.device), kept_pages(foundation.device.type):
        run = _Run(foundation, data, config, seed)
        run.resume(checkpoint)
        while not run.finished():
            run.epoch()
            if on_epoch is not None and run.group.leads:
                on_epoch(run.records[-1], run.pack())
        return run.result()


class _Run:
    """One training: network, optimiser, average and the data's graphs."""

    def __init__(
        self,
        backbone: Trainable,
        data: TrainingData,
        config: TrainConfig,
        seed: int,
    ) -> None:
        import torch
        from torch_ema import ExponentialMovingAverage

        self.backbone, self.config, self.seed = backbone, config, seed
        self.schedule = Schedule.of(config)
        self.group = current_group()
        self.sizes = BatchSizes.of(backbone.device, small=EVALUATION_ATOMS)
        self.references = find_shift(backbone, data.train, config)
        shift = self.references.shift
        train = to_foundation_scale(data.train, shift)
        self.valid = to_foundation_scale(data.valid, shift) or train
        # an element whose few frames were all held back is the target's as well
        own = adapts_elements(backbone, config)
        known = [*train, *self.valid] if own else train
        self.adapted = tuple(sorted(elements_of(known))) if own else None
        self.source = prepare_replay(backbone, data.replay, known, config)
        self.heldout = sample_evenly(data.heldout, FORGETTING_FRAMES)
        self.n_replay = count_replay(len(train), config)
        self.network = backbone.network(config, known, seed=seed, start=data.start)
        self.target = Examples(self.network, train)
        self.replay = Examples(self.network, self.source, replay=True)
        self.valid_graphs, self.heldout_graphs = (
            [self.network.graph(item.atoms) for item in items]
            for items in (self.valid, self.heldout)
        )
        self.start_forgetting = _force_mae(backbone, self.heldout)
        parameters = [p for p in self.network.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            amsgrad=True,
        )
        self.average = ExponentialMovingAverage(parameters, decay=config.ema_decay)
        self.stepper = Stepper(
            self.network,
            self.optimizer,
            self.average,
            config,
            device=backbone.device,
            dtype=backbone.dtype,
        )
        self.records: list[EpochRecord] = []
        self.best: list[Any] | None = None
        self.identity = identify(backbone, data, config, seed)

    def resume(self, checkpoint: bytes | None) -> None:
        if checkpoint is None:
            return
        self.records, self.best = unpack_checkpoint(
            checkpoint, self._parts(), self.identity
        )
        self.stepper.n_parts = self.records[-1].n_parts

    def pack(self) -> bytes:
        return pack_checkpoint(
            self._parts(),
            self.records,
            self.identity,
            self.best,
            layout=self.backbone.layout,
        )

    def finished(self) -> bool:
        if len(self.records) >= self.config.epochs:
            return True
        stopping = self.config.stopping
        return stopping is not None and is_over(
            self.records, stopping, self.start_forgetting
        )

    def epoch(self) -> None:
        """Train and judge one epoch; keep its weights if they are the best so far."""
        import torch

        start, number = time.monotonic(), len(self.records)
        draw = draw_replay(len(self.replay), self.n_replay, self.seed, number)
        if isinstance(self.source, Relabelled):
            with self.group.leader_first():
                self.source.prepare(draw.indices)
        steps = epoch_steps(
            self.target,
            self.replay,
            draw.indices,
            self.config.batch_frames,
            [self.seed, number, 1],
        )
        losses = []
        self.stepper.config = self.schedule.weights(number)
        # a thread builds graphs meanwhile, and the type is one for all threads
        with default_dtype(self.backbone.dtype):
            for i, examples in enumerate(steps):
                self._set_rate(number + i / len(steps))
                losses.append(self.stepper.queue(examples))
                if losses[-1].device.type == "cpu":  # elsewhere the host would wait
                    self._refuse_nonfinite("loss", float(losses[-1]), number)
        values = torch.stack(losses).tolist()
        for value in values:
            self._refuse_nonfinite("loss", value, number)
        with self.average.average_parameters():
            valid = self._judge(self.valid, self.valid_graphs)
            forgetting = None
            if self.heldout:
                forgetting = self._judge(self.heldout, self.heldout_graphs).force_mae
        self._refuse_nonfinite("validation force RMSE", valid.force_rmse, number)
        self.records.append(
            EpochRecord(
                epoch=number,
                train_loss=float(np.mean(values)),
                valid=valid,
                forgetting_force_mae=forgetting,
                learning_rate=float(self.optimizer.param_groups[0]["lr"]),
                n_target=len(self.target),
                n_replay=len(draw.indices),
                replay_digest=draw.digest,
                seconds=time.monotonic() - start,
                n_parts=self.stepper.n_parts,
                steps=steps.describe(),
            )
        )
        if self.config.stopping is not None and self.kept() == number:
            self.best = [p.clone() for p in self.average.shadow_params]

    def kept(self) -> int:
        """Return the index of the epoch whose weights are kept."""
        if self.config.stopping is None:
            return len(self.records) - 1
        return choose_epoch(self.records, self.config.stopping, self.start_forgetting)

    def result(self) -> FineTuned:
        weights = self.average.shadow_params if self.best is None else self.best
        return FineTuned(
            self.network.export(weights, self.references.shift),
            self.records,
            self.references,
            self.kept(),
            self.start_forgetting,
            self.adapted,
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.network.module,
            "optimizer": self.optimizer,
            "average": self.average,
        }

    def _set_rate(self, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(progress)

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
        mine = self.group.mine(range(len(items)))
        labels = self.sizes.compute(
            [len(items[i].atoms) for i in mine],
            lambda part: self.network.predict([graphs[mine[k]] for k in part]),
            title="Judging an epoch",
        )
        by_index = dict(self.group.collect(list(zip(mine, labels, strict=True))))
        return summarise_errors([by_index[i] for i in range(len(items))], items)


def _force_mae(backbone: Trainable, items: Sequence[LabelledStructure]) -> float | None:
    if not items:
        return None
    return summarise_errors(backbone.predict([i.atoms for i in items]), items).force_mae
