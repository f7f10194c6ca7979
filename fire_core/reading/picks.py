"""Why a round's structures were picked, and the map of all its candidates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.campaign import EXPLORE, SELECTED
from fire_core.reading.results import read_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.storage.campaigns import SelectionRow
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store

BY_FORCES: Final = "large_force"
"""Kind of a refusal that comes after the map was drawn."""


@dataclass(frozen=True, slots=True)
class PickedBecause:
    """Why one structure was picked; None where an older FIRE did not keep it.

    Distances are in the reduced descriptor space, in units of the candidates'
    root-mean-square distance from their mean.

    Attributes
    ----------
    rank
        Order of choice, 0 first.
    key
        The structure.
    cluster, cluster_size
        Its cluster (-1: none), and how many candidates it stands for.
    centre_distance
        Distance to its cluster's centre, or the selector's own measure.
    labelled_distance
        Distance to the nearest structure labelled before.
    q_ratio
        Its Q-residual over the limit that 95 % of the candidates keep.
    replica, step, temperature
        Where in the run it was; K.
    """

    rank: int
    key: str
    cluster: int
    cluster_size: int
    centre_distance: float
    labelled_distance: float | None = None
    q_ratio: float | None = None
    replica: int | None = None
    step: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class UnderSampled:
    """Candidates far from everything that is labelled or picked, by an example."""

    key: str
    replica: int
    step: int
    distance: float
    candidates: int
    temperatures: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """Distances of the candidates to the nearest structure labelled or picked."""

    mean: float
    percentile_95: float
    largest: float


@dataclass(frozen=True, slots=True)
class RoundChoice:
    """A round's choice with its reasons.

    Attributes
    ----------
    method
        Name of the selector.
    candidates
        Frames that it chose from, refused ones included; None: not kept.
    refused
        How many candidates screening refused, by cause.
    picks
        By rank.
    regions
        Under-sampled ones, the farthest first.
    before, after
        Coverage by what was labelled, and with the picks; None: not kept.
    new_share, expected_share
        Part of the candidates beyond everything learnt by Q-residual, and by chance;
        None: not measured.
    alarm
        Whether that is more than chance allows.
    """

    method: str
    candidates: int | None
    refused: dict[str, int]
    picks: list[PickedBecause]
    regions: list[UnderSampled]
    before: Covered | None
    after: Covered | None
    new_share: float | None
    expected_share: float | None
    alarm: bool


@dataclass(frozen=True, slots=True, eq=False)
class CandidateMap:
    """The map of a round's candidates.

    Attributes
    ----------
    coordinates
        (n, 2), the first two principal components; (n, 1) where there is but one.
    temperatures
        (n,), K.
    picked
        Positions of the picks, by rank.
    frames
        Which frame each point is; empty where the run can no longer tell.
    explained
        Part of the variance that the first and the second component hold.
    """

    coordinates: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    picked: list[int]
    frames: list[FrameRow]
    explained: tuple[float, float]


def read_choice(store: Store, campaign: str, round_: int) -> RoundChoice | None:
    """Return what is known of a round's choice; None where it has chosen nothing."""
    row = store.get_selection(campaign, round_, SELECTED)
    return None if row is None else _tell_choice(row)


def explain_pick(
    store: Store, campaign: str, round_: int, key: str
) -> PickedBecause | None:
    """Return why a round picked a structure; None where it did not."""
    found = read_choice(store, campaign, round_)
    picks = [] if found is None else found.picks
    return next((pick for pick in picks if pick.key == key), None)


def read_map(store: Store, campaign: str, round_: int) -> CandidateMap | None:
    """Return the map of a round's candidates; None where none was kept."""
    row = store.get_selection(campaign, round_, SELECTED)
    meta = {} if row is None else json.loads(row.meta_json)
    if row is None or "map_blob" not in meta:
        return None
    arrays = read_arrays(store, meta["map_blob"])
    ratio = [*meta.get("explained_variance", []), 0.0, 0.0]
    picked = arrays["picked"].astype(int).tolist()
    temperatures = arrays["temperatures"].astype(np.float64)
    late = set()
    if "refused_blob" in meta:
        refused = json.loads(store.blobs.get_bytes(meta["refused_blob"]))
        late = {key for key, (kind, _) in refused.items() if kind != BY_FORCES}
    frames: list[FrameRow] = []
    for run in store.find_runs(campaign, round_, EXPLORE):
        kept = [frame for frame in store.get_frames(run) if frame.key not in late]
        if _is_run(kept, temperatures, picked, row.keys):
            frames = kept
    return CandidateMap(
        arrays["coordinates"].astype(np.float64),
        temperatures,
        picked,
        frames,
        (float(ratio[0]), float(ratio[1])),
    )


def _is_run(
    frames: Sequence[FrameRow],
    temperatures: NDArray[np.float64],
    picked: Sequence[int],
    keys: Sequence[str],
) -> bool:
    """Say whether frames are the points of a map, by all that both know."""
    if len(frames) != len(temperatures):
        return False
    if [frames[i].key for i in picked] != list(keys):
        return False
    return bool(np.allclose([frame.temperature for frame in frames], temperatures))


def _tell_choice(row: SelectionRow) -> RoundChoice:
    meta = json.loads(row.meta_json)
    found = meta.get("explanation") or {}
    alarm = meta.get("q_alarm") or {}
    return RoundChoice(
        method=row.method,
        candidates=meta.get("candidates"),
        refused=meta.get("refused", {}),
        picks=_reasons(row, found.get("picks")),
        regions=[_region(region) for region in found.get("regions", [])],
        before=_covered(found.get("before")),
        after=_covered(found.get("after")),
        new_share=alarm.get("share"),
        expected_share=alarm.get("expected"),
        alarm=bool(alarm.get("rings")),
    )


def _reasons(
    row: SelectionRow, kept: list[dict[str, Any]] | None
) -> list[PickedBecause]:
    if kept is not None:
        names = set(PickedBecause.__slots__)
        known = ({k: v for k, v in pick.items() if k in names} for pick in kept)
        reasons = [PickedBecause(**pick) for pick in known]
        return sorted(reasons, key=lambda reason: reason.rank)
    return [
        PickedBecause(pick.rank, key, pick.cluster, pick.cluster_size, pick.distance)
        for key, pick in zip(row.keys, row.picks, strict=False)
    ]


def _region(region: dict[str, Any]) -> UnderSampled:
    example = region["example"]
    return UnderSampled(
        key=example["key"],
        replica=example["replica"],
        step=example["step"],
        distance=region["distance"],
        candidates=region["candidates"],
        temperatures=tuple(region["temperatures"]),
    )


def _covered(found: dict[str, float] | None) -> Covered | None:
    return None if found is None else Covered(**found)
