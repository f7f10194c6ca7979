"""The record of a choice of structures: written by selection, read by everybody.

What is known of a choice beside its members is kept as JSON with the selection. This
module alone writes and reads it.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fire_core.campaign.names import SELECTED, START
from fire_core.selection.alarm import QAlarm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.campaign.steps.candidates import Screened
    from fire_core.records import JsonDict, Pick
    from fire_core.selection.explain import Explanation
    from fire_core.selection.pipeline import Reduced
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.selections import SelectionRow
    from fire_core.storage.store import Store


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
    """Candidates far from everything that is labelled or picked, by an example.

    `temperature` is the example's, `temperatures` are those of all of them; K.
    """

    key: str
    replica: int
    step: int
    distance: float
    candidates: int
    temperatures: tuple[float, ...]
    temperature: float


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
    alarm
        Candidates beyond everything learnt by Q-residual; None: not measured.
    unit, q_limit
        Of the distances, and of the Q-residuals; see `selection.explain.Explanation`.
    is_explained
        Whether reasons were kept; FIRE before 0.1 did not.
    map_blob, refused_blob
        sha256 of the map's arrays, and of the refusals by key; None: not kept.
    explained_variance
        Part of the variance that each principal component holds.
    """

    method: str
    candidates: int | None
    refused: dict[str, int]
    picks: list[PickedBecause]
    regions: list[UnderSampled]
    before: Covered | None
    after: Covered | None
    alarm: QAlarm | None = None
    unit: float | None = None
    q_limit: float | None = None
    is_explained: bool = False
    map_blob: str | None = None
    refused_blob: str | None = None
    explained_variance: tuple[float, ...] = ()


def read_choice(store: Store, campaign: str, round_: int) -> RoundChoice | None:
    """Return what is known of a round's choice; None where it has chosen nothing."""
    row = store.selections.get(campaign, round_, SELECTED)
    return None if row is None else decode_choice(row)


def encode_choice(
    store: Store,
    screened: Screened,
    reduced: Reduced,
    picks: Sequence[Pick],
    why: tuple[Explanation, QAlarm | None],
) -> str:
    """Return what is kept of a choice; its map and its refusals become blobs."""
    explanation, alarm = why
    flags = {key: [p.kind, p.detail] for key, p in screened.refused.items()}
    arrays = _pack_map(reduced.points, screened.kept, picks)
    meta = {
        "candidates": len(screened.kept) + len(screened.refused),
        "refused": Counter(problem.kind for problem in screened.refused.values()),
        "refused_blob": store.blobs.put_bytes(json.dumps(flags).encode()),
        "explained_variance": [float(v) for v in reduced.pca.explained_ratio],
        "map_blob": store.blobs.put_bytes(arrays),
        "explanation": _explanation_to_dict(explanation, screened.kept),
        "q_alarm": alarm and asdict(alarm),
    }
    return json.dumps(meta)


def decode_choice(row: SelectionRow) -> RoundChoice:
    """Return what is known of a choice, also where an older FIRE kept less."""
    meta = json.loads(row.meta_json)
    found = meta.get("explanation") or {}
    alarm = meta.get("q_alarm")
    return RoundChoice(
        method=row.method,
        candidates=meta.get("candidates"),
        refused=meta.get("refused", {}),
        picks=_reasons(row, found.get("picks")),
        regions=[_region(region) for region in found.get("regions", [])],
        before=_covered(found.get("before")),
        after=_covered(found.get("after")),
        alarm=None if alarm is None else QAlarm(**alarm),
        unit=found.get("unit"),
        q_limit=found.get("q_limit"),
        is_explained=bool(found),
        map_blob=meta.get("map_blob"),
        refused_blob=meta.get("refused_blob"),
        explained_variance=tuple(meta.get("explained_variance", ())),
    )


def choice_to_dict(choice: RoundChoice) -> JsonDict:
    """Return a choice with its reasons, fit for JSON, for programs that read it."""
    return {
        "method": choice.method,
        "candidates": choice.candidates,
        "refused": choice.refused,
        "unit": choice.unit,
        "q_limit": choice.q_limit,
        "before": choice.before and asdict(choice.before),
        "after": choice.after and asdict(choice.after),
        "picks": [asdict(pick) for pick in choice.picks],
        "regions": [
            {
                "example": {
                    "key": region.key,
                    "replica": region.replica,
                    "temperature": region.temperature,
                    "step": region.step,
                },
                "distance": region.distance,
                "candidates": region.candidates,
                "temperatures": list(region.temperatures),
            }
            for region in choice.regions
        ],
        "q_alarm": choice.alarm and asdict(choice.alarm),
    }


def last_choice(store: Store, campaign: str) -> int:
    """Return the last round that has chosen from a run; 0: none has."""
    number = 0
    while store.selections.get(campaign, number + 1, SELECTED) is not None:
        number += 1
    return number


def encode_start(regions: NDArray[np.int64] | None) -> str:
    """Return what is kept of the starting structures: each atom's side."""
    return json.dumps({"regions": None if regions is None else regions.tolist()})


def read_regions(store: Store, campaign: str) -> NDArray[np.int64] | None:
    """Return each atom's side of the interface; None where there is none."""
    row = store.selections.get(campaign, 0, START)
    regions = None if row is None else json.loads(row.meta_json)["regions"]
    return None if regions is None else np.array(regions)


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
        temperature=example["temperature"],
    )


def _covered(found: dict[str, float] | None) -> Covered | None:
    return None if found is None else Covered(**found)


def _explanation_to_dict(
    explanation: Explanation, rows: Sequence[FrameRow]
) -> dict[str, Any]:
    """Return an explanation with the frames that it names, fit for JSON."""

    def frame(index: int) -> dict[str, Any]:
        row = rows[index]
        return {
            "key": row.key,
            "replica": row.replica,
            "temperature": row.temperature,
            "step": row.step,
        }

    return {
        "unit": explanation.unit,
        "q_limit": explanation.q_limit,
        "before": explanation.before and asdict(explanation.before),
        "after": asdict(explanation.after),
        "picks": [
            frame(reason.index)
            | {k: v for k, v in asdict(reason).items() if k != "index"}
            for reason in explanation.picks
        ],
        "regions": [
            {
                "example": frame(region.example),
                "distance": region.distance,
                "candidates": len(region.members),
                "temperatures": sorted({rows[i].temperature for i in region.members}),
            }
            for region in explanation.regions
        ],
    }


def _pack_map(
    points: NDArray[np.float64], rows: Sequence[FrameRow], picks: Sequence[Pick]
) -> bytes:
    """Pack what the PCA map shows: coordinates, temperatures, picks."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        coordinates=points[:, :2].astype(np.float32),
        temperatures=np.array([row.temperature for row in rows]),
        picked=np.array([pick.index for pick in picks]),
    )
    return buffer.getvalue()
