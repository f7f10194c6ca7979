"""The map of a round's candidates, and why one of them was picked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.campaign.choices import decode_choice, read_choice
from fire_core.campaign.names import EXPLORE, SELECTED
from fire_core.campaign.views.results import read_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.campaign.choices import PickedBecause
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store

BY_FORCES: Final = "large_force"
"""Kind of a refusal that comes after the map was drawn."""


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


def explain_pick(
    store: Store, campaign: str, round_: int, key: str
) -> PickedBecause | None:
    """Return why a round picked a structure; None where it did not."""
    found = read_choice(store, campaign, round_)
    picks = [] if found is None else found.picks
    return next((pick for pick in picks if pick.key == key), None)


def read_map(store: Store, campaign: str, round_: int) -> CandidateMap | None:
    """Return the map of a round's candidates; None where none was kept."""
    row = store.selections.get(campaign, round_, SELECTED)
    choice = None if row is None else decode_choice(row)
    if row is None or choice is None or choice.map_blob is None:
        return None
    arrays = read_arrays(store, choice.map_blob)
    ratio = [*choice.explained_variance, 0.0, 0.0]
    picked = arrays["picked"].astype(int).tolist()
    temperatures = arrays["temperatures"].astype(np.float64)
    late = set()
    if choice.refused_blob is not None:
        refused = json.loads(store.blobs.get_bytes(choice.refused_blob))
        late = {key for key, (kind, _) in refused.items() if kind != BY_FORCES}
    frames: list[FrameRow] = []
    for run in store.runs.find(campaign, round_, EXPLORE):
        kept = [frame for frame in store.runs.frames(run) if frame.key not in late]
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
    """Return whether frames are the points of a map, by all that both know."""
    if len(frames) != len(temperatures):
        return False
    if [frames[i].key for i in picked] != list(keys):
        return False
    return bool(np.allclose([frame.temperature for frame in frames], temperatures))
