"""Where replay data come from: the bundled set, a file, or a public set by name."""

from __future__ import annotations

import hashlib
import logging
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.io import iread

from fire_core.backbones.assets import ReplaySet, labelled, load_replay
from fire_core.errors import BackboneError, TrainingError
from fire_core.files import cache_folder
from fire_core.progress import tracked
from fire_core.structures.frame_index import (
    SUFFIX,
    FrameIndex,
    build_index,
    formula_place,
)
from fire_core.training.data import sample_evenly
from fire_core.training.rehearsal import within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from fire_core.config.training import ReplayConfig
    from fire_core.records import LabelledStructure

LOGGER: Final = logging.getLogger(__name__)
HELDOUT_FRACTION: Final = 0.1
STORE: Final = "store:"
PUBLIC: Final = {
    "mptrj": (
        "https://github.com/ACEsuit/mace-foundations/releases/download/mace_mp_0b/"
        "mp_traj_combined.xyz"
    )
}
"""Replay sets that MACE's authors publish beside their models."""


LARGE_FILE: Final = 64 * 2**20  # bytes
"""An extxyz file from this size on is indexed once; its frames are read when drawn."""
HELDOUT_FRAMES: Final = 500
"""Most held-out frames that forgetting is judged on: evenly spaced, always the same."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplaySource:
    """A replay set with what was left out of it.

    Attributes
    ----------
    data
        What may be rehearsed and what is held out.
    left_out
        Frames with an element that the model does not know.
    n_heldout
        Frames that are held out, of which `data` has `HELDOUT_FRAMES` at most.
    """

    data: ReplaySet
    left_out: int
    n_heldout: int


def load_replay_source(
    config: ReplayConfig,
    elements: Collection[str],
    stored: Sequence[LabelledStructure] = (),
) -> ReplaySource:
    """Return the replay set that a configuration names.

    Of a set that is not bundled, a tenth of the compositions is held out to measure
    forgetting, chosen by a hash of the reduced formula; where that leaves a side
    empty, the last tenth of the frames.

    Parameters
    ----------
    config
        Names the source.
    elements
        What the model knows; frames with others are left out and counted.
    stored
        The labels that a `store:` source names; who calls reads them.

    Raises
    ------
    TrainingError
        The source is missing, cannot be fetched, or holds fewer than two frames that
        the model can learn from.
    """
    if config.source == "bundled":
        bundled = load_replay()
        total = len(bundled.train) + len(bundled.heldout)
        train, heldout = (
            within(part, elements) for part in (bundled.train, bundled.heldout)
        )
        return _source(ReplaySet(train, heldout), total)
    if config.source.startswith(STORE):
        items: Sequence[LabelledStructure] = list(stored)
    else:
        items = read_frames(_locate(config.source))
    usable = within(items, elements)
    if len(usable) < 2:
        msg = (
            f"replay source {config.source} holds {len(items)} frames, of which "
            f"{len(usable)} have only elements that the model knows; a replay set "
            "needs at least two"
        )
        raise TrainingError(msg)
    return _source(split_by_formula(usable), len(items))


def split_by_formula(items: Sequence[LabelledStructure]) -> ReplaySet:
    """Reserve a tenth of the compositions, the same ones wherever they occur."""
    if isinstance(items, FrameIndex):
        places = items.places
    else:
        places = np.array([formula_place(item.atoms) for item in items])
    is_heldout = places < HELDOUT_FRACTION
    if is_heldout.all() or not is_heldout.any():
        is_heldout[:] = False
        is_heldout[-max(1, round(len(items) * HELDOUT_FRACTION)) :] = True
    return ReplaySet(_take(items, ~is_heldout), _take(items, is_heldout))


def read_frames(path: Path) -> Sequence[LabelledStructure]:
    """Return the labelled frames of an extxyz or indexed file.

    A large extxyz file is indexed when it is first read, in FIRE's cache.

    Raises
    ------
    TrainingError
        A frame cannot be read, or has no energy or no forces; it is named.
    """
    if path.suffix == SUFFIX:
        return FrameIndex(path)
    if path.stat().st_size < LARGE_FILE:
        return list(stream_frames(path))
    facts = path.stat()
    known = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    name = hashlib.sha256(known.encode()).hexdigest()[:16]
    target = cache_folder() / "replay" / f"{path.stem}-{name}{SUFFIX}"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        LOGGER.warning("indexing %s, once, into %s", path, target)
        build_index(stream_frames(path), target, theory=path.name)
    return FrameIndex(target)


def stream_frames(path: Path) -> Iterator[LabelledStructure]:
    """Yield the labelled frames of an extxyz file, one in memory at a time.

    Raises
    ------
    TrainingError
        A frame cannot be read, or has no energy or no forces; it is named.
    """
    if not path.is_file():
        msg = f"no file {path}: expected an extxyz file with energies and forces"
        raise TrainingError(msg)
    number = 0
    frames = iread(path, index=":", format="extxyz")
    try:
        for frame in tracked(frames, f"Reading {path.name}"):
            yield labelled(frame, path.name)
            number += 1
    except (ValueError, KeyError, BackboneError) as error:
        msg = f"{path}: frame {number}: {error}"
        raise TrainingError(msg) from error


def _source(data: ReplaySet, total: int) -> ReplaySource:
    kept = sample_evenly(data.heldout, HELDOUT_FRAMES)
    return ReplaySource(
        ReplaySet(data.train, kept),
        total - len(data.train) - len(data.heldout),
        len(data.heldout),
    )


def _take(
    items: Sequence[LabelledStructure], which: NDArray[np.bool_]
) -> Sequence[LabelledStructure]:
    if isinstance(items, FrameIndex):
        return items.take(which)
    return [item for item, chosen in zip(items, which, strict=True) if chosen]


def _locate(source: str) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if source in PUBLIC:
        return _fetch(source)
    msg = (
        f"no replay set at {path}: expected `bundled`, `store:FINGERPRINT`, one of "
        f"{', '.join(PUBLIC)}, or the path of an extxyz file with energies and "
        "forces, or of the index of one (`fire replay index`)"
    )
    raise TrainingError(msg)


def _fetch(name: str) -> Path:
    """Return the local copy of a public set, fetched when it is not there."""
    cache = cache_folder()
    target = cache / f"{name}.extxyz"
    if target.is_file():
        return target
    partial = target.with_suffix(".partial")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(PUBLIC[name], partial)  # noqa: S310 - https, above
    except OSError as error:
        msg = (
            f"the replay set {name!r} is not at {target} and cannot be fetched "
            f"({error}). On a machine with internet download {PUBLIC[name]}, copy it "
            "there, or set replay.source to the path of another extxyz file"
        )
        raise TrainingError(msg) from error
    partial.replace(target)
    return target
