"""Replay: which pre-training structures each epoch rehearses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.base import mean_features, need_features
from fire_core.backbones.trainable import adapts_elements, elements_of
from fire_core.errors import TrainingError
from fire_core.evaluation.references import fit_references
from fire_core.selection.candidates import Candidates
from fire_core.selection.farthest_point import choose_farthest
from fire_core.training.data import SAMPLE, sample_elements
from fire_core.training.parallel import current_group
from fire_core.training.rehearsal import Predicted, Shifted, holding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import ReplayConfig, TrainConfig
    from fire_core.records import LabelledStructure


CANDIDATES: Final = 10
"""Frames of a large set that are looked at for each one of a diverse pool."""


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
) -> Sequence[LabelledStructure]:
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
        if config.adapt == "auto" and not holding(replay, elements_of(target)):
            return []  # nothing of it can be forgotten
        replay = share_elements(replay, target, "set strategy: naive,")
    source = choose_source(backbone, replay, target, config.replay)
    if config.strategy == "pseudolabel_replay":
        return Predicted(source, backbone.predict, backbone.sha256)
    if config.replay.source == "bundled" or config.references.method == "keep":
        return source
    fitted = sample_elements(source, SAMPLE)
    predicted = backbone.predict([item.atoms for item in fitted])
    shift = fit_references(fitted, predicted, ridge=True).shift
    return Shifted(source, {symbol: -value for symbol, value in shift.items()})


def choose_source(
    backbone: Trainable,
    replay: Sequence[LabelledStructure],
    target: Sequence[LabelledStructure],
    config: ReplayConfig,
) -> Sequence[LabelledStructure]:
    """Return the part of the replay set that may be drawn.

    Raises
    ------
    TrainingError
        `shared_elements` leaves nothing.
    """
    if config.draw == "all":
        return replay
    if config.draw == "diverse":
        return _diverse(backbone, replay, config.pool)
    return share_elements(replay, target, "set replay.draw: all,")


def share_elements(
    replay: Sequence[LabelledStructure],
    target: Sequence[LabelledStructure],
    remedy: str,
) -> Sequence[LabelledStructure]:
    """Return the structures that have an element in common with the target.

    Raises
    ------
    TrainingError
        There is none.
    """
    wanted = elements_of(target)
    kept = holding(replay, wanted)
    if not kept:
        symbols = ", ".join(sorted(wanted))
        msg = (
            f"no replay structure shares an element with {symbols}; "
            f"{remedy} or another replay.source"
        )
        raise TrainingError(msg)
    return kept


def _diverse(
    backbone: Trainable, replay: Sequence[LabelledStructure], pool: int
) -> Sequence[LabelledStructure]:
    """Return the `pool` structures that lie farthest apart, in the set's order.

    Of a large set, `CANDIDATES` times as many evenly spaced ones are looked at. The
    leading process of several chooses for all, as rounding may differ between devices.
    """
    if pool >= len(replay):
        return replay
    group = current_group()
    chosen: list[int] = []
    if group.leads:
        model = need_features(backbone, "replay.draw: diverse")
        most = min(len(replay), max(CANDIDATES * pool, SAMPLE))
        looked_at = np.linspace(0, len(replay) - 1, most).round().astype(int)
        points = mean_features(model, [replay[i].atoms for i in looked_at.tolist()])
        none = np.empty((0, points.shape[1]))
        found = choose_farthest(Candidates(points, none, seed=0), pool).indices
        chosen = sorted(looked_at[found].tolist())
    chosen = group.collect(chosen)
    return [replay[i] for i in chosen]
