"""Datasets of campaigns: which structure is in which part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from fire_core.records import Split
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import lock
from fire_core.storage.tables import DatasetMember
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


def save_dataset(
    connection: Connection, campaign: str, dataset: str, members: Mapping[str, Split]
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
    lock(connection, campaign_lock(campaign))
    connection.execute(
        delete(DatasetMember).where(
            DatasetMember.campaign == campaign,
            DatasetMember.dataset == dataset,
        )
    )
    if rows:
        connection.execute(insert(DatasetMember), rows)


def get_dataset(
    connection: Connection, campaign: str, dataset: str
) -> dict[str, Split]:
    """Return the parts of a dataset; empty when there is none."""
    query = select(DatasetMember.structure, DatasetMember.split).where(
        DatasetMember.campaign == campaign, DatasetMember.dataset == dataset
    )
    return {row[0]: Split(row[1]) for row in connection.execute(query)}


@dataclass(frozen=True)
class Datasets:
    """Parts of the datasets of campaigns."""

    database: Database

    save = writing(save_dataset)
    get = reading(get_dataset)
