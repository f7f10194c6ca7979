"""What every cell of a study starts from: frames, replay, foundation model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.registry import load_configured
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.campaign.steps.replay import read_replay
from fire_core.config.load import config_to_json
from fire_core.config.retired import without_retired
from fire_core.config.study import STORED, StudyConfig
from fire_core.config.training import ReplayConfig
from fire_core.errors import StoreError, TrainingError
from fire_core.structures.frame_index import formula_place
from fire_core.study.cells import SharedHashes
from fire_core.study.data import digest_labels, divide_by_time, read_trajectory
from fire_core.training.data import sample_evenly
from fire_core.training.rehearsal import leaving_out
from fire_core.training.sources import STORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store
    from fire_core.study.data import Frames
    from fire_core.training.sources import ReplaySource

HELDOUT_FRAMES: Final = 256  # held-out structures on which forgetting is measured
_SHARED: Final[dict[str, Inputs]] = {}  # the inputs read last; see `share_inputs`


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """All that the cells of a study share.

    Attributes
    ----------
    foundation
        The model that every variant starts from.
    frames
        Pool and test block.
    replay
        What each variant may rehearse; empty for one that rehearses nothing.
    heldout
        Pre-training structures on which every variant's forgetting is measured.
    left_out
        Replay frames with elements that the model does not know.
    shared
        Hashes of all that.
    """

    foundation: Trainable
    frames: Frames
    replay: dict[str, Sequence[LabelledStructure]]
    heldout: list[LabelledStructure]
    left_out: int
    shared: SharedHashes


def enter_study(store: Store, config: StudyConfig) -> None:
    """Keep the study's configuration under its name, replacing an earlier one.

    Cells are told apart by what they depend on, so a study may change freely.

    Raises
    ------
    StoreError
        A campaign has this name.
    """
    known = store.campaigns.get(config.key)
    if known is not None and "variants" not in json.loads(known.config_json):
        msg = f"{config.key!r} is a campaign in this store; give the study another name"
        raise StoreError(msg)
    store.campaigns.open(config.key, config_to_json(config))


def find_study(store: Store, name: str, db: str) -> StudyConfig:
    """Return the configuration with which a study was run last."""
    studies = {
        row.name: row.config_json
        for row in store.campaigns.list()
        if "variants" in json.loads(row.config_json)
    }
    for key in (name, f"study-{name}"):
        if key in studies:
            raw = without_retired(json.loads(studies[key]))
            return StudyConfig.model_validate(raw, context=STORED)
    have = ", ".join(key.removeprefix("study-") for key in studies) or "none"
    msg = f"no study {name!r} in {db} (there: {have}); start it with `fire study run`"
    raise StoreError(msg)


def share_inputs(store: Store, config: StudyConfig) -> Inputs:
    """Return what `read_inputs` does, read once for all cells of this process.

    A public replay set has more than a million frames; the files' sizes and times
    tell whether they are still the same. Labels of the store may grow and are read
    each time.
    """
    paths = [d.path for d in config.data]
    paths += [config.backbone.name, config.forgetting_source]
    paths += [v.replay.source for v in config.variants.values()]
    if any(path.startswith(STORE) for path in paths):
        return read_inputs(store, config)
    files = [Path(path) for path in paths if Path(path).is_file()]
    stamps = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = json.dumps([config_to_json(config), stamps])
    if key not in _SHARED:
        _SHARED.clear()
        _SHARED[key] = read_inputs(store, config)
    return _SHARED[key]


def read_inputs(store: Store, config: StudyConfig) -> Inputs:
    """Read data, replay and foundation model, and refuse what cannot work.

    Raises
    ------
    FireError
        A file is missing or unreadable, a trajectory too short, the backbone cannot
        be trained, or it does not know an element.
    """
    trajectories = [read_trajectory(Path(d.path), d.every) for d in config.data]
    frames = divide_by_time(trajectories, config.test)
    foundation = _load_foundation(config)
    refuse_unknown_elements(
        [item.atoms for item in (*frames.pool, *frames.test)],
        foundation.elements,
        foundation.name,
    )
    wanted = {v.replay.source: v.replay for v in config.variants.values()}
    measured = config.forgetting_source
    settings = wanted.get(measured, ReplayConfig(source=measured))
    first = read_replay(store, settings, foundation)
    heldout = sample_evenly(first.data.heldout, HELDOUT_FRAMES)
    sources = {measured: first}
    replay: dict[str, Sequence[LabelledStructure]] = {}
    for name, variant in config.variants.items():
        source = variant.replay.source
        if variant.rehearses and source not in sources:
            sources[source] = read_replay(store, variant.replay, foundation)
        replay[name] = []
        if variant.rehearses:
            others = [] if source == measured else first.data.heldout
            replay[name] = _rehearsed(sources[source], source, frames, others)
    return Inputs(
        foundation,
        frames,
        replay,
        heldout,
        sum(source.left_out for source in sources.values()),
        SharedHashes(
            pool=digest_labels(frames.pool),
            test=digest_labels(frames.test),
            heldout=digest_labels(heldout),
            backbone=foundation.sha256,
            dtype=config.backbone.dtype,
            replay={k: digest_labels(v) if v else "" for k, v in replay.items()},
        ),
    )


def _load_foundation(config: StudyConfig) -> Trainable:
    return need_trainable(load_configured(config.backbone, config.threads))


def _rehearsed(
    source: ReplaySource,
    name: str,
    frames: Frames,
    heldout: Sequence[LabelledStructure],
) -> Sequence[LabelledStructure]:
    """Return what may be rehearsed: no test frame, and no composition of `heldout`.

    Raises
    ------
    TrainingError
        Nothing is left.
    """
    judged = {item.key: item.atoms for item in frames.test}
    formulas = {formula_place(item.atoms) for item in heldout}
    left = leaving_out(source.data.train, judged, formulas)
    if not left:
        msg = (
            f"every frame of replay source {name} is a test frame or has a composition "
            "on which forgetting is measured; set `forgetting` to another source, such "
            f"as {name} itself"
        )
        raise TrainingError(msg)
    return left
