"""Campaigns and their configurations."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlalchemy import insert, select, update

from fire_core.config.campaign import CampaignConfig
from fire_core.errors import StoreError
from fire_core.storage.dialects import lock
from fire_core.storage.tables import CampaignTable, SelectionTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database

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


CAMPAIGN: Final = (
    CampaignTable.name,
    CampaignTable.config_json,
    CampaignTable.created_at,
)
"""Columns of a campaign in the order of `CampaignRow`."""


def open_campaign(connection: Connection, name: str, config_json: str) -> CampaignRow:
    """Enter a campaign, or find it with the same scientific configuration.

    Settings that only change how it runs (`RUN_SETTINGS`) are updated; a campaign
    that has not chosen a structure yet takes any configuration.

    Raises
    ------
    StoreError
        The name is taken by a campaign with another configuration; the message
        lists what differs.
    """
    lock(connection, campaign_lock(name))
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
        chosen = select(SelectionTable.campaign).where(SelectionTable.campaign == name)
        if connection.scalar(chosen.limit(1)) is not None:
            _refuse_difference(name, stored, config_json)
        connection.execute(
            update(CampaignTable)
            .where(CampaignTable.name == name)
            .values(config_json=config_json)
        )
    query = select(*CAMPAIGN).where(CampaignTable.name == name)
    return CampaignRow(*connection.execute(query).one())


def get_campaign(connection: Connection, name: str) -> CampaignRow | None:
    """Return a campaign, or None when there is none of that name."""
    query = select(*CAMPAIGN).where(CampaignTable.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else CampaignRow(*row)


def list_campaigns(connection: Connection) -> list[CampaignRow]:
    """Return every campaign, oldest first."""
    query = select(*CAMPAIGN).order_by(CampaignTable.created_at)
    return [CampaignRow(*row) for row in connection.execute(query)]


def campaign_lock(name: str) -> str:
    """Return the name of the lock of those who write to one campaign."""
    return f"campaign {name}"


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


@dataclass(frozen=True)
class Campaigns:
    """Campaigns and their configurations."""

    database: Database

    open = writing(open_campaign)
    get = reading(get_campaign)
    list = reading(list_campaigns)
