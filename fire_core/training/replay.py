"""Replay: which pre-training structures each epoch rehearses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.io import iread

from fire_core.backbones.assets import ReplaySet, labelled, load_replay
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.steps import ReplayConfig
    from fire_core.records import LabelledStructure

HELDOUT_FRACTION = 0.1


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


def load_replay_source(config: ReplayConfig) -> ReplaySet:
    """Return the replay set that a configuration names.

    Of a file, a tenth of the compositions is held out to measure forgetting, chosen
    by a hash of the reduced formula; where that leaves a side empty, the last tenth
    of the frames.

    Raises
    ------
    TrainingError
        The file is missing or holds fewer than two labelled frames.
    """
    if config.source == "bundled":
        return load_replay()
    path = Path(config.source)
    if not path.is_file():
        msg = (
            f"no replay set at {path}: expected `bundled` or the path of an extxyz "
            "file with energies and forces"
        )
        raise TrainingError(msg)
    items = [labelled(frame, path.name) for frame in iread(path, index=":")]
    if len(items) < 2:
        msg = f"{path} holds {len(items)} frames; a replay set needs at least two"
        raise TrainingError(msg)
    heldout = [item for item in items if _is_heldout(item)]
    train = [item for item in items if not _is_heldout(item)]
    if not heldout or not train:
        cut = max(1, round(len(items) * HELDOUT_FRACTION))
        train, heldout = items[:-cut], items[-cut:]
    return ReplaySet(train, heldout)


def choose_source(
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
    wanted = {s for item in target for s in item.atoms.get_chemical_symbols()}
    kept = [i for i in replay if wanted & set(i.atoms.get_chemical_symbols())]
    if not kept:
        msg = (
            f"no replay structure shares an element with {', '.join(sorted(wanted))}; "
            "set replay.draw: all, or another replay.source"
        )
        raise TrainingError(msg)
    return kept


def _is_heldout(item: LabelledStructure) -> bool:
    formula, _ = item.atoms.symbols.formula.reduce()
    digest = hashlib.sha256(f"{formula:hill}".encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 < HELDOUT_FRACTION
