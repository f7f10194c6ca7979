"""Campaigns and their configurations."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlalchemy import insert, select, update

from fire_core.config.campaign import TRAININGS, CampaignConfig
from fire_core.config.recipes import keep_older_settings, without_recipes
from fire_core.config.training import ORIGIN
from fire_core.errors import StoreError
from fire_core.storage.dialects import lock
from fire_core.storage.tables import CampaignTable, SelectionTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.records import ModelHash, TheoryId
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
    """A campaign, and the identities of what it is made with.

    Attributes
    ----------
    name
        Of the campaign.
    config_json
        Its resolved configuration.
    created_at
        Seconds since 1970.
    theory, atom_theory
        Fingerprints of the theory levels of its structures' labels and of those of
        isolated atoms; None before the first was recorded.
    foundation_sha
        sha256 of the model that its first training began from; None before that.
    """

    name: str
    config_json: str
    created_at: float
    theory: TheoryId | None = None
    atom_theory: TheoryId | None = None
    foundation_sha: ModelHash | None = None


IDENTITY: Final = (
    CampaignTable.theory,
    CampaignTable.atom_theory,
    CampaignTable.foundation_sha,
)
CAMPAIGN: Final = (
    CampaignTable.name,
    CampaignTable.config_json,
    CampaignTable.created_at,
    *IDENTITY,
)
"""Columns of a campaign in the order of `CampaignRow`."""


def open_campaign(connection: Connection, name: str, config_json: str) -> CampaignRow:
    """Enter a campaign, or find it with the same scientific configuration.

    Settings that only change how it runs (`RUN_SETTINGS`) are updated; a campaign
    that has not chosen a structure yet takes any configuration, and then forgets the
    identities that were recorded for another one.

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
        begun = connection.scalar(chosen.limit(1)) is not None
        if begun:
            config_json = _as_begun(stored, config_json)
            _refuse_difference(name, stored, config_json)
        values: dict[str, Any] = {"config_json": config_json}
        if not begun and _differing(stored, config_json):
            values |= {column.key: None for column in IDENTITY}
        connection.execute(
            update(CampaignTable).where(CampaignTable.name == name).values(values)
        )
    return _need(connection, name)


def get_campaign(connection: Connection, name: str) -> CampaignRow | None:
    """Return a campaign, or None when there is none of that name."""
    query = select(*CAMPAIGN).where(CampaignTable.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else CampaignRow(*row)


def list_campaigns(connection: Connection) -> list[CampaignRow]:
    """Return every campaign, oldest first."""
    query = select(*CAMPAIGN).order_by(CampaignTable.created_at)
    return [CampaignRow(*row) for row in connection.execute(query)]


def record_identity(
    connection: Connection,
    name: str,
    *,
    theory: TheoryId | None = None,
    atom_theory: TheoryId | None = None,
    foundation_sha: ModelHash | None = None,
    replace: bool = False,
) -> CampaignRow:
    """Record what a campaign is made with, as far as it was not; return the campaign.

    None leaves as it is what was recorded; `replace` overwrites it.

    Raises
    ------
    StoreError
        There is no such campaign, or another identity was recorded before.
    """
    lock(connection, campaign_lock(name))
    row = _need(connection, name)
    given = {
        "theory": theory,
        "atom_theory": atom_theory,
        "foundation_sha": foundation_sha,
    }
    fresh = {k: v for k, v in given.items() if v not in {None, getattr(row, k)}}
    for key, value in fresh.items():
        if getattr(row, key) is not None and not replace:
            msg = (
                f"campaign {name!r} was begun with {key} {getattr(row, key)}, now it "
                f"is {value}: what it is made with never changes; install what it was "
                "begun with, or begin a campaign of another name"
            )
            raise StoreError(msg)
    if fresh:
        changed = update(CampaignTable).where(CampaignTable.name == name)
        connection.execute(changed.values(fresh))
    return _need(connection, name)


def campaign_lock(name: str) -> str:
    """Return the name of the lock of those who write to one campaign."""
    return f"campaign {name}"


def _need(connection: Connection, name: str) -> CampaignRow:
    row = get_campaign(connection, name)
    if row is None:
        msg = f"there is no campaign {name!r}; `fire campaign list` shows those there"
        raise StoreError(msg)
    return row


def _refuse_difference(name: str, stored: str, given: str) -> None:
    differing = _differing(stored, given)
    if differing:
        msg = (
            f"campaign {name!r} exists with another configuration:\n"
            + "\n".join(differing)
            + "\ngive this one another name, or the old values"
        )
        raise StoreError(msg)


def _as_begun(stored: str, given: str) -> str:
    """Return a configuration in which trainings are what they were begun with.

    A campaign of before there were recipes keeps the settings that its file left out.
    """
    kept = keep_older_settings(json.loads(stored), json.loads(given), TRAININGS)
    return json.dumps(kept, sort_keys=True)


def _differing(stored: str, given: str) -> list[str]:
    """Return the settings that change what a campaign finds, with their values."""
    before, after = (_flat(json.loads(text)) for text in (_completed(stored), given))
    return [
        f"  - {key}: {before.get(key)} there, {after.get(key)} now"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and not any(key == s or key.startswith(f"{s}.") for s in RUN_SETTINGS)
        and key.rpartition(".")[2] not in ORIGIN
    ]


def _completed(stored: str) -> str:
    """Return a stored configuration with the defaults of settings newer than it."""
    try:
        raw = without_recipes(json.loads(stored), TRAININGS)
        config = CampaignConfig.model_validate(raw)
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
    record_identity = writing(record_identity)
    list = reading(list_campaigns)
