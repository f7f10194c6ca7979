"""Where replay data come from: the bundled set, a file, or a public set by name."""

from __future__ import annotations

import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase.io import iread

from fire_core.backbones.assets import ReplaySet, labelled, load_replay
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fire_core.config.training import ReplayConfig
    from fire_core.records import LabelledStructure

HELDOUT_FRACTION: Final = 0.1
STORE: Final = "store:"
PUBLIC: Final = {
    "mptrj": (
        "https://github.com/ACEsuit/mace-foundations/releases/download/mace_mp_0b/"
        "mp_traj_combined.xyz"
    )
}
"""Replay sets that MACE's authors publish beside their models."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplaySource:
    """A replay set with what was left out of it.

    Attributes
    ----------
    data
        What may be rehearsed and what is held out.
    left_out
        Frames with an element that the model does not know.
    """

    data: ReplaySet
    left_out: int


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
        parts = _known(bundled.train, elements), _known(bundled.heldout, elements)
        total = len(bundled.train) + len(bundled.heldout)
        return ReplaySource(ReplaySet(*parts), total - sum(map(len, parts)))
    if config.source.startswith(STORE):
        items = list(stored)
    else:
        path = _locate(config.source)
        items = [labelled(frame, path.name) for frame in iread(path, index=":")]
    usable = _known(items, elements)
    if len(usable) < 2:
        msg = (
            f"replay source {config.source} holds {len(items)} frames, of which "
            f"{len(usable)} have only elements that the model knows; a replay set "
            "needs at least two"
        )
        raise TrainingError(msg)
    return ReplaySource(split_by_formula(usable), len(items) - len(usable))


def split_by_formula(items: Sequence[LabelledStructure]) -> ReplaySet:
    """Reserve a tenth of the compositions, the same ones wherever they occur."""
    heldout = [item for item in items if _is_heldout(item)]
    train = [item for item in items if not _is_heldout(item)]
    if not heldout or not train:
        cut = max(1, round(len(items) * HELDOUT_FRACTION))
        train, heldout = list(items[:-cut]), list(items[-cut:])
    return ReplaySet(train, heldout)


def _locate(source: str) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if source in PUBLIC:
        return _fetch(source)
    msg = (
        f"no replay set at {path}: expected `bundled`, `store:FINGERPRINT`, one of "
        f"{', '.join(PUBLIC)}, or the path of an extxyz file with energies and forces"
    )
    raise TrainingError(msg)


def _fetch(name: str) -> Path:
    """Return the local copy of a public set, fetched when it is not there."""
    cache = Path.home() / ".cache" / "fire"
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


def _known(
    items: Sequence[LabelledStructure], elements: Collection[str]
) -> list[LabelledStructure]:
    known = set(elements)
    return [i for i in items if set(i.atoms.get_chemical_symbols()) <= known]


def _is_heldout(item: LabelledStructure) -> bool:
    formula, _ = item.atoms.symbols.formula.reduce()
    digest = hashlib.sha256(f"{formula:hill}".encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 < HELDOUT_FRACTION
