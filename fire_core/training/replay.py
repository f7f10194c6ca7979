"""Replay: which pre-training structures each epoch rehearses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fire_core.backbones.base import mean_features, need_features
from fire_core.backbones.trainable import adapts_elements, elements_of
from fire_core.errors import TrainingError
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.selection.candidates import Candidates
from fire_core.selection.farthest_point import choose_farthest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import ReplayConfig, TrainConfig
    from fire_core.records import LabelledStructure


@dataclass(frozen=True, slots=True)
class Draw:
    """The replay structures of one epoch.

    Attributes
    ----------
    indices
        Positions in the replay set; without repeats as long as the set suffices.
    digest
        First 16 hex digits of the sha256 of the indices, to record what was drawn.
    """

    indices: tuple[int, ...]
    digest: str


def draw_replay(n_available: int, n_wanted: int, seed: int, epoch: int) -> Draw:
    """Draw a fresh subsample, the same for the same seed and epoch.

    A set smaller than what is wanted is gone through as often as needed, every
    structure once before any a second time.
    """
    rng = np.random.default_rng([seed, epoch])
    indices: list[int] = []
    while n_available and len(indices) < n_wanted:
        left = n_wanted - len(indices)
        indices += rng.permutation(n_available)[:left].tolist()
    digest = hashlib.sha256(np.array(indices, "<i8").tobytes()).hexdigest()[:16]
    return Draw(tuple(indices), digest)


def prepare_replay(
    backbone: Trainable,
    replay: Sequence[LabelledStructure],
    target: Sequence[LabelledStructure],
    config: TrainConfig,
) -> list[LabelledStructure]:
    """Return the structures that may be drawn, with the labels to rehearse.

    1. Leave out what `replay.draw` leaves out, and with `adapt: elements` what shares
       no element with the target, which has nothing to teach.
    2. With pseudo-labels, the foundation model's own predictions take the place of
       the labels. Else the labels of any set but the bundled one, which is on the
       foundation's energy scale, have a fitted constant per element taken out.

    Empty where weights of elements are trained because nobody said otherwise
    (`adapt: auto`) and no structure shares an element with the target.

    Raises
    ------
    TrainingError
        Nothing is left to draw from.
    """
    if not config.rehearses:
        return []
    if not replay:
        msg = (
            f"strategy {config.strategy} needs a replay set, got none; set "
            "replay.source, or strategy: naive"
        )
        raise TrainingError(msg)
    if adapts_elements(backbone, config):
        if config.adapt == "auto" and not sharing(replay, target):
            return []  # nothing of it can be forgotten
        replay = share_elements(replay, target, "set strategy: naive,")
    source = choose_source(backbone, replay, target, config.replay)
    if config.strategy == "pseudolabel_replay":
        labels = backbone.predict([item.atoms for item in source])
        return [
            replace(item, label=label, theory=f"model:{backbone.sha256[:16]}")
            for item, label in zip(source, labels, strict=True)
        ]
    if config.replay.source == "bundled" or config.references.method == "keep":
        return source
    frames = [item.atoms for item in source]
    fit = fit_references(source, backbone.predict(frames), ridge=True)
    back = {symbol: -value for symbol, value in fit.shift.items()}
    labels = shift_energies([item.label for item in source], frames, back)
    return [replace(i, label=label) for i, label in zip(source, labels, strict=True)]


def choose_source(
    backbone: Trainable,
    replay: Sequence[LabelledStructure],
    target: Sequence[LabelledStructure],
    config: ReplayConfig,
) -> list[LabelledStructure]:
    """Return the part of the replay set that may be drawn.

    Raises
    ------
    TrainingError
        `shared_elements` leaves nothing.
    """
    if config.draw == "all":
        return list(replay)
    if config.draw == "diverse":
        return _diverse(backbone, replay, config.pool)
    return share_elements(replay, target, "set replay.draw: all,")


def share_elements(
    replay: Sequence[LabelledStructure],
    target: Sequence[LabelledStructure],
    remedy: str,
) -> list[LabelledStructure]:
    """Return the structures that have an element in common with the target.

    Raises
    ------
    TrainingError
        There is none.
    """
    kept = sharing(replay, target)
    if not kept:
        symbols = ", ".join(sorted(elements_of(target)))
        msg = (
            f"no replay structure shares an element with {symbols}; "
            f"{remedy} or another replay.source"
        )
        raise TrainingError(msg)
    return kept


def sharing(
    replay: Sequence[LabelledStructure], target: Sequence[LabelledStructure]
) -> list[LabelledStructure]:
    """Return the structures that have an element in common with the target, or none."""
    wanted = elements_of(target)
    return [item for item in replay if wanted & elements_of([item])]


def _diverse(
    backbone: Trainable, replay: Sequence[LabelledStructure], pool: int
) -> list[LabelledStructure]:
    """Return the `pool` structures that lie farthest apart, in the set's order."""
    if pool >= len(replay):
        return list(replay)
    model = need_features(backbone, "replay.draw: diverse")
    points = mean_features(model, [item.atoms for item in replay])
    none = np.empty((0, points.shape[1]))
    chosen = choose_farthest(Candidates(points, none, seed=0), pool).indices
    return [replay[i] for i in sorted(chosen.tolist())]
