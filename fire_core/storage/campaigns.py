"""Campaigns, their choices of structures, datasets and use of time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlalchemy import delete, insert, select, update

from fire_core.config.campaign import CampaignConfig
from fire_core.errors import StoreError
from fire_core.records import Pick, Split
from fire_core.storage.engine import reading, writing
from fire_core.storage.tables import (
    CampaignTable,
    DatasetMember,
    SelectionMember,
    SelectionTable,
    UsageTable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine

RUN_SETTINGS: Final = (
    *("owner", "store", "results", "threads", "label", "budget", "approval"),
    *("select.soap.workers", "select.memory_mib", "committee.parallel"),
    *("explore.batch", "evaluate.dynamics.batch"),
    "evaluate.gates",  # limits for the models found; a promotion keeps those it met
)
"""Parts of a configuration that change how a campaign runs, not what it finds."""


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign; `config_json` is its resolved configuration."""

    name: str
    config_json: str
    created_at: float


@dataclass(frozen=True, slots=True)
class SelectionRow:
    """A choice of structures: keys in order, and why each was chosen.

    Attributes
    ----------
    method
        Name of the selector.
    keys
        Chosen structures in order.
    picks
        Why each was chosen, in the same order; empty where there is no why.
    meta_json
        Anything else about the choice.
    """

    method: str
    keys: list[str]
    picks: list[Pick] = field(default_factory=list)
    meta_json: str = "{}"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Seconds that one step took."""

    round: int
    step: str
    wall_s: float
    core_s: float
    gpu_s: float
    finished_at: float


CAMPAIGN: Final = (
    CampaignTable.name,
    CampaignTable.config_json,
    CampaignTable.created_at,
)
"""Columns of a campaign in the order of `CampaignRow`."""


class CampaignTables:
    """Campaigns; a part of `Store`."""

    engine: Engine

    def open_campaign(self, name: str, config_json: str) -> CampaignRow:
        """Enter a campaign, or find it with the same scientific configuration.

        Settings that only change how it runs (`RUN_SETTINGS`) are updated; a campaign
        that has not chosen a structure yet takes any configuration.

        Raises
        ------
        StoreError
            The name is taken by a campaign with another configuration; the message
            lists what differs.
        """
        with writing(self.engine, campaign_lock(name)) as connection:
            stored = connection.scalar(
                select(CampaignTable.config_json).where(CampaignTable.name == name)
            )
            if stored is None:
                connection.execute(
                    insert(CampaignTable).values(
                        name=name, config_json=config_json, created_at=time.time()
                    )
                )
            else:
                chosen = select(SelectionTable.campaign).where(
                    SelectionTable.campaign == name
                )
                if connection.scalar(chosen.limit(1)) is not None:
                    _refuse_difference(name, stored, config_json)
                connection.execute(
                    update(CampaignTable)
                    .where(CampaignTable.name == name)
                    .values(config_json=config_json)
                )
        row = self.get_campaign(name)
        if row is None:
            msg = f"campaign {name!r} vanished while it was being opened"
            raise StoreError(msg)
        return row

    def get_campaign(self, name: str) -> CampaignRow | None:
        """Return a campaign, or None when there is none of that name."""
        with reading(self.engine) as connection:
            query = select(*CAMPAIGN).where(CampaignTable.name == name)
            row = connection.execute(query).one_or_none()
            return None if row is None else CampaignRow(*row)

    def list_campaigns(self) -> list[CampaignRow]:
        """Return every campaign, oldest first."""
        with reading(self.engine) as connection:
            query = select(*CAMPAIGN).order_by(CampaignTable.created_at)
            return [CampaignRow(*row) for row in connection.execute(query)]

    def save_selection(
        self, campaign: str, round_: int, purpose: str, selection: SelectionRow
    ) -> None:
        """Keep a choice of structures; a choice once made is not made again.

        Raises
        ------
        StoreError
            The choice was made before with other structures.
        """
        where = {"campaign": campaign, "round": round_, "purpose": purpose}
        members = [
            where
            | {
                "rank": rank,
                "structure": key,
                "pick_json": (
                    json.dumps(asdict(selection.picks[rank]))
                    if selection.picks
                    else None
                ),
            }
            for rank, key in enumerate(selection.keys)
        ]
        with writing(self.engine, campaign_lock(campaign)) as connection:
            present = _read_selection(connection, campaign, round_, purpose)
            if present is not None:
                if present.keys == selection.keys:
                    return
                msg = (
                    f"{purpose!r} of round {round_} of {campaign!r} was already chosen "
                    f"({len(present.keys)} structures) and is not changed"
                )
                raise StoreError(msg)
            connection.execute(
                insert(SelectionTable).values(
                    **where, method=selection.method, meta_json=selection.meta_json
                )
            )
            if members:
                connection.execute(insert(SelectionMember), members)

    def get_selection(
        self, campaign: str, round_: int, purpose: str
    ) -> SelectionRow | None:
        """Return a choice of structures, or None when it was not made yet."""
        with reading(self.engine) as connection:
            return _read_selection(connection, campaign, round_, purpose)

    def save_dataset(
        self, campaign: str, dataset: str, members: Mapping[str, Split]
    ) -> None:
        """Keep which structure is in which part of a dataset, replacing it."""
        rows = [
            {
                "campaign": campaign,
                "dataset": dataset,
                "structure": key,
                "split": split.value,
            }
            for key, split in members.items()
        ]
        with writing(self.engine, campaign_lock(campaign)) as connection:
            connection.execute(
                delete(DatasetMember).where(
                    DatasetMember.campaign == campaign,
                    DatasetMember.dataset == dataset,
                )
            )
            if rows:
                connection.execute(insert(DatasetMember), rows)

    def get_dataset(self, campaign: str, dataset: str) -> dict[str, Split]:
        """Return the parts of a dataset; empty when there is none."""
        with reading(self.engine) as connection:
            query = select(DatasetMember.structure, DatasetMember.split).where(
                DatasetMember.campaign == campaign, DatasetMember.dataset == dataset
            )
            return {row[0]: Split(row[1]) for row in connection.execute(query)}

    def add_usage(
        self,
        campaign: str,
        round_: int,
        step: str,
        *,
        wall_s: float,
        core_s: float,
        gpu_s: float = 0.0,
    ) -> None:
        """Add the seconds that a step took."""
        with writing(self.engine) as connection:
            connection.execute(
                insert(UsageTable).values(
                    campaign=campaign,
                    round=round_,
                    step=step,
                    wall_s=wall_s,
                    core_s=core_s,
                    gpu_s=gpu_s,
                    finished_at=time.time(),
                )
            )

    def get_usage(self, campaign: str) -> list[UsageRow]:
        """Return every use of time by a campaign, oldest first."""
        with reading(self.engine) as connection:
            query = (
                select(
                    UsageTable.round,
                    UsageTable.step,
                    UsageTable.wall_s,
                    UsageTable.core_s,
                    UsageTable.gpu_s,
                    UsageTable.finished_at,
                )
                .where(UsageTable.campaign == campaign)
                .order_by(UsageTable.id)
            )
            return [UsageRow(*row) for row in connection.execute(query)]


def campaign_lock(name: str) -> str:
    """Return the name of the lock of those who write to one campaign."""
    return f"campaign {name}"


def _read_selection(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> SelectionRow | None:
    head = connection.execute(
        select(SelectionTable.method, SelectionTable.meta_json).where(
            SelectionTable.campaign == campaign,
            SelectionTable.round == round_,
            SelectionTable.purpose == purpose,
        )
    ).one_or_none()
    if head is None:
        return None
    rows = connection.execute(
        select(SelectionMember.structure, SelectionMember.pick_json)
        .where(
            SelectionMember.campaign == campaign,
            SelectionMember.round == round_,
            SelectionMember.purpose == purpose,
        )
        .order_by(SelectionMember.rank)
    ).all()
    picks = [Pick(**json.loads(r.pick_json)) for r in rows if r.pick_json]
    return SelectionRow(
        head.method, [row.structure for row in rows], picks, head.meta_json
    )


def _refuse_difference(name: str, stored: str, given: str) -> None:
    before, after = (_flat(json.loads(text)) for text in (_completed(stored), given))
    differing = [
        key
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and not any(key == s or key.startswith(f"{s}.") for s in RUN_SETTINGS)
    ]
    if differing:
        lines = [
            f"  - {k}: {before.get(k)} there, {after.get(k)} now" for k in differing
        ]
        msg = (
            f"campaign {name!r} exists with another configuration:\n"
            + "\n".join(lines)
            + "\ngive this one another name, or the old values"
        )
        raise StoreError(msg)


def _completed(stored: str) -> str:
    """Return a stored configuration with the defaults of settings newer than it."""
    try:
        config = CampaignConfig.model_validate_json(stored)
    except ValidationError:  # settings that this FIRE does not know show as they are
        return stored
    return config.model_dump_json()


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat
