"""Molecular-dynamics runs: segments with their frames, committed together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import func, insert, select

from fire_core.config.steps import DynamicsConfig
from fire_core.errors import StoreError
from fire_core.records import Breach, StopReason
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import lock
from fire_core.storage.structure_rows import insert_structures
from fire_core.storage.tables import FrameTable, RunTable, SegmentTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from fire_core.records import Frame
    from fire_core.storage.transaction import Database


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A finished segment, the state to go on from, and limits that were broken.

    Breaches of segments saved by FIRE 0.1 have no step: it is -1.
    """

    index: int
    state: bytes
    breaches: tuple[Breach, ...]

    @property
    def stopped(self) -> dict[int, str]:
        """Reason of each replica that ended in this segment."""
        return {b.replica: b.reason for b in self.breaches if b.back_to is None}


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A saved frame; temperature in K, energy in eV."""

    key: str
    replica: int
    temperature: float
    step: int
    energy: float
    segment: int


def open_run(
    connection: Connection,
    campaign: str,
    round_: int,
    purpose: str,
    model: str,
    config_json: str,
) -> int:
    """Return the number of a run, opened now or before.

    Raises
    ------
    StoreError
        The run was begun with other settings.
    """
    which = (
        RunTable.campaign == campaign,
        RunTable.round == round_,
        RunTable.purpose == purpose,
        RunTable.model == model,
    )
    lock(connection, campaign_lock(campaign))
    row = connection.execute(
        select(RunTable.id, RunTable.config_json).where(*which)
    ).one_or_none()
    if row is not None and _is_same(row.config_json, config_json):
        return int(row.id)
    if row is not None:
        msg = (
            f"the {purpose} run of round {round_} of {campaign!r} was begun "
            f"with {row.config_json}, now {config_json}"
        )
        raise StoreError(msg)
    made = connection.execute(
        insert(RunTable)
        .values(
            campaign=campaign,
            round=round_,
            purpose=purpose,
            model=model,
            config_json=config_json,
        )
        .returning(RunTable.id)
    )
    return int(made.scalar_one())


def save_segment(
    connection: Connection,
    run_id: int,
    index: int,
    frames: Sequence[Frame],
    state: bytes,
    breaches: Sequence[Breach],
) -> None:
    """Commit a segment: its frames and the state after it, all or nothing.

    A segment that is there already is left as it is: the same segment was
    repeated, and gave the same.
    """
    lock(connection, f"md run {run_id}")
    there = connection.scalar(
        select(SegmentTable.number).where(
            SegmentTable.run == run_id, SegmentTable.number == index
        )
    )
    if there is not None:
        return
    keys = insert_structures(connection, [f.atoms for f in frames], f"md run {run_id}")
    connection.execute(
        insert(SegmentTable).values(
            run=run_id,
            number=index,
            state=state,
            stopped_json=json.dumps([asdict(b) for b in breaches]),
        )
    )
    rows = [
        {
            "run": run_id,
            "replica": frame.tag.replica,
            "step": frame.tag.step,
            "segment": index,
            "structure": key,
            "temperature": frame.tag.temperature,
            "energy": frame.energy,
        }
        for frame, key in zip(frames, keys, strict=True)
    ]
    if rows:
        connection.execute(insert(FrameTable), rows)


def get_segments(connection: Connection, run_id: int) -> list[SegmentRow]:
    """Return the finished segments of a run in order."""
    query = _segments(run_id).order_by(SegmentTable.number)
    return [_unpack_segment(row) for row in connection.execute(query)]


def last_segment(connection: Connection, run_id: int) -> SegmentRow | None:
    """Return the last finished segment of a run, None before the first."""
    query = _segments(run_id).order_by(SegmentTable.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _unpack_segment(row)


def count_frames(connection: Connection, run_id: int) -> int:
    """Count the saved frames of a run."""
    query = select(func.count()).where(FrameTable.run == run_id)
    return int(connection.execute(query).scalar_one())


def get_frames(connection: Connection, run_id: int) -> list[FrameRow]:
    """Return the saved frames of a run, by replica, then step."""
    query = (
        select(
            FrameTable.structure,
            FrameTable.replica,
            FrameTable.temperature,
            FrameTable.step,
            FrameTable.energy,
            FrameTable.segment,
        )
        .where(FrameTable.run == run_id)
        .order_by(FrameTable.replica, FrameTable.step)
    )
    return [FrameRow(*row) for row in connection.execute(query)]


def _segments(run_id: int) -> Any:
    return select(
        SegmentTable.number, SegmentTable.state, SegmentTable.stopped_json
    ).where(SegmentTable.run == run_id)


def _unpack_segment(row: Any) -> SegmentRow:
    found = json.loads(row.stopped_json)
    if isinstance(found, dict):  # replica: reason, as FIRE 0.1 began
        breaches = [Breach(int(k), -1, StopReason(v)) for k, v in found.items()]
    else:
        breaches = [Breach(**b | {"reason": StopReason(b["reason"])}) for b in found]
    return SegmentRow(row.number, row.state, tuple(breaches))


def _is_same(stored: str, given: str) -> bool:
    """Return whether two dynamics differ in nothing that a trajectory depends on.

    Settings newer than the stored ones have their defaults there.
    """
    if stored == given:
        return True
    try:
        before, now = (DynamicsConfig.model_validate_json(t) for t in (stored, given))
    except ValidationError:
        return False
    return before == now.model_copy(update={"batch": before.batch})


def find_runs(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> list[int]:
    """Return the numbers of a campaign's runs of one round and purpose."""
    query = select(RunTable.id).where(
        RunTable.campaign == campaign,
        RunTable.round == round_,
        RunTable.purpose == purpose,
    )
    return list(connection.scalars(query.order_by(RunTable.id)))


@dataclass(frozen=True)
class Runs:
    """Molecular-dynamics runs."""

    database: Database

    open = writing(open_run)
    find = reading(find_runs)
    save_segment = writing(save_segment)
    segments = reading(get_segments)
    last_segment = reading(last_segment)
    count_frames = reading(count_frames)
    frames = reading(get_frames)
