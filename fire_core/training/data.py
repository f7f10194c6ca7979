"""What a training learns from: its parts, their identity, what must be refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.training.rehearsal import (
    add_content,
    elements_in,
    first_of_each,
    holding,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure


SAMPLE: Final = 4000
"""Most frames that references are fitted to, and as many more as their elements ask."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a fine-tuning learns from and is watched on.

    Attributes
    ----------
    train, valid
        Target labels; the errors on `valid` are recorded (on `train` if empty).
    replay, heldout
        Pre-training structures to rehearse, and to measure forgetting on.
    start
        Fine-tuned model whose weights are gone on from; None: the foundation's.
    """

    train: Sequence[LabelledStructure]
    valid: Sequence[LabelledStructure]
    replay: Sequence[LabelledStructure]
    heldout: Sequence[LabelledStructure]
    start: Trainable | None = None


def refuse_unknown(
    backbone: Trainable, data: TrainingData, config: TrainConfig
) -> None:
    """Raise UnknownElementError for elements that the model does not know."""
    known, name = backbone.elements, backbone.name
    target = [item.atoms for item in (*data.train, *data.valid)]
    refuse_unknown_elements(target, known, name)
    replay = data.replay if config.rehearses else ()
    remedy = "Leave such frames out of replay.source: the model was not trained on them"
    for part in (replay, data.heldout):
        if others := elements_in(part) - known:
            strange = [holding(part, others)[0].atoms]
            refuse_unknown_elements(
                strange, known, name, what="replay frame", remedy=remedy
            )


def sample_evenly(
    items: Sequence[LabelledStructure], most: int
) -> list[LabelledStructure]:
    """Return at most `most` items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def sample_elements(
    items: Sequence[LabelledStructure], most: int, *, each: int = 20
) -> list[LabelledStructure]:
    """Return `most` items evenly spaced, and the first `each` of every element."""
    if len(items) <= most:
        return list(items)
    chosen = {*np.linspace(0, len(items) - 1, most).round().astype(int).tolist()}
    chosen |= first_of_each(items, each)
    return [items[i] for i in sorted(chosen)]


def identify(
    backbone: Trainable, data: TrainingData, config: TrainConfig, seed: int
) -> str:
    """Return a hash of all that a training's course depends on, labels included."""
    how = {"devices", "part_atoms", *config.without_effect}
    settings = config.model_dump_json(exclude=how)
    digest = hashlib.sha256(f"{settings}|{seed}|{backbone.sha256}".encode())
    if backbone.layout:
        digest.update(f"|{backbone.layout}".encode())
    if data.start is not None:
        digest.update(f"|from {data.start.sha256}".encode())
    replay = data.replay if config.rehearses else ()
    for part in (data.train, data.valid, replay, data.heldout):
        digest.update(f"|{len(part)}".encode())
        add_content(digest, part)
    return digest.hexdigest()[:16]
