"""What was measured of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import lock
from fire_core.storage.tables import EvaluationTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """What was measured of a model on a dataset."""

    model: str
    dataset: str
    result_json: str


def save_evaluation(
    connection: Connection, campaign: str, model: str, dataset: str, result_json: str
) -> None:
    """Keep what was measured, replacing an earlier measurement."""
    which = (
        EvaluationTable.campaign == campaign,
        EvaluationTable.model == model,
        EvaluationTable.dataset == dataset,
    )
    lock(connection, campaign_lock(campaign))
    connection.execute(delete(EvaluationTable).where(*which))
    connection.execute(
        insert(EvaluationTable).values(
            campaign=campaign,
            model=model,
            dataset=dataset,
            result_json=result_json,
        )
    )


def get_evaluation(
    connection: Connection, campaign: str, model: str, dataset: str
) -> EvaluationRow | None:
    """Return a measurement, or None when it was not made yet."""
    rows = list_evaluations(connection, campaign)
    return next((r for r in rows if (r.model, r.dataset) == (model, dataset)), None)


def list_evaluations(connection: Connection, campaign: str) -> list[EvaluationRow]:
    """Return every measurement of a campaign's models."""
    query = select(
        EvaluationTable.model,
        EvaluationTable.dataset,
        EvaluationTable.result_json,
    ).where(EvaluationTable.campaign == campaign)
    return [EvaluationRow(*row) for row in connection.execute(query)]


def evaluation_keys(connection: Connection) -> dict[str, set[tuple[str, str]]]:
    """Return (model, data set) of what was measured in each campaign."""
    query = select(
        EvaluationTable.campaign, EvaluationTable.model, EvaluationTable.dataset
    )
    found: dict[str, set[tuple[str, str]]] = {}
    for campaign, model, dataset in connection.execute(query):
        found.setdefault(campaign, set()).add((model, dataset))
    return found


@dataclass(frozen=True)
class Evaluations:
    """What was measured of models."""

    database: Database

    save = writing(save_evaluation)
    get = reading(get_evaluation)
    list = reading(list_evaluations)
    keys = reading(evaluation_keys)
