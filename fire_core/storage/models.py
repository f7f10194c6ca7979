"""Models, and the epochs of their training."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from fire_core.config.open_sets import GATES
from fire_core.errors import StoreError
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import insert_missing, lock
from fire_core.storage.promotions import (
    STATES,
    UNSIGNED,
    Signature,
    list_promotions,
    promote_model,
    refuse_target,
    refuse_ungated,
    restore_model,
)
from fire_core.storage.tables import EpochTable, ModelTable
from fire_core.storage.transaction import reading, writing, writing_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from fire_core.records import GateResult
    from fire_core.storage.blobs import BlobStore
    from fire_core.storage.transaction import Database

KEPT_CHECKPOINTS: Final = 2
MODEL: Final = (
    ModelTable.name,
    ModelTable.blob_sha,
    ModelTable.parent_sha,
    ModelTable.config_json,
    ModelTable.state,
    ModelTable.created_at,
)
"""Columns of a model in the order of `ModelRow`."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A trained model; `blob_sha` names its file, the time is since 1970, s."""

    name: str
    blob_sha: str
    parent_sha: str | None
    config_json: str
    state: str
    created_at: float


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A finished epoch; the checkpoint is None once released."""

    epoch: int
    record_json: str
    checkpoint_sha: str | None


def add_model(
    connection: Connection,
    campaign: str,
    name: str,
    blob_sha: str,
    *,
    parent_sha: str | None,
    config_json: str,
) -> None:
    """Enter a trained model as a candidate; adding it again changes nothing."""
    row = {
        "campaign": campaign,
        "name": name,
        "blob_sha": blob_sha,
        "parent_sha": parent_sha,
        "config_json": config_json,
        "state": STATES[0],
        "created_at": time.time(),
    }
    lock(connection, campaign_lock(campaign))
    insert_missing(connection, ModelTable, [row])


def get_model(connection: Connection, campaign: str, name: str) -> ModelRow | None:
    """Return a model, or None when it is not trained yet."""
    query = select(*MODEL).where(
        ModelTable.campaign == campaign, ModelTable.name == name
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else ModelRow(*row)


def need_model(connection: Connection, campaign: str, name: str) -> ModelRow:
    """Return a model; StoreError when it is not trained yet."""
    model = get_model(connection, campaign, name)
    if model is None:
        have = ", ".join(m.name for m in list_models(connection, campaign)) or "none"
        msg = (
            f"campaign {campaign!r} has no model {name!r} (it has: {have}); run "
            "its training first"
        )
        raise StoreError(msg)
    return model


def list_models(connection: Connection, campaign: str) -> list[ModelRow]:
    """Return a campaign's models, oldest first."""
    query = (
        select(*MODEL)
        .where(ModelTable.campaign == campaign)
        .order_by(ModelTable.created_at)
    )
    return [ModelRow(*row) for row in connection.execute(query)]


def find_models(connection: Connection, sha: str) -> list[tuple[str, ModelRow]]:
    """Return (campaign, model) of every model whose file this is, oldest first."""
    query = (
        select(ModelTable.campaign, *MODEL)
        .where(ModelTable.blob_sha == sha)
        .order_by(ModelTable.created_at)
    )
    return [(r[0], ModelRow(*r[1:])) for r in connection.execute(query)]


def replace_epoch(
    connection: Connection, campaign: str, model: str, row: EpochRow
) -> None:
    """Enter an epoch in place of it and all that came after it."""
    lock(connection, campaign_lock(campaign))
    connection.execute(
        delete(EpochTable).where(
            EpochTable.campaign == campaign,
            EpochTable.model == model,
            EpochTable.epoch >= row.epoch,
        )
    )
    connection.execute(
        insert(EpochTable).values(campaign=campaign, model=model, **asdict(row))
    )


def forget_checkpoints(
    connection: Connection, campaign: str, model: str, last: int
) -> list[str]:
    """Drop the checkpoints of epochs up to `last`; return those that no row names."""
    lock(connection, campaign_lock(campaign))
    which = (
        EpochTable.campaign == campaign,
        EpochTable.model == model,
        EpochTable.epoch <= last,
        EpochTable.checkpoint_sha.is_not(None),
    )
    old = list(connection.scalars(select(EpochTable.checkpoint_sha).where(*which)))
    connection.execute(update(EpochTable).where(*which).values(checkpoint_sha=None))
    return [sha for sha in old if sha is not None and not _is_named(connection, sha)]


def get_epochs(connection: Connection, campaign: str, model: str) -> list[EpochRow]:
    """Return the finished epochs of a training in order."""
    query = _epochs(campaign, model).order_by(EpochTable.epoch)
    return [EpochRow(*row) for row in connection.execute(query)]


def last_epoch(connection: Connection, campaign: str, model: str) -> EpochRow | None:
    """Return the last finished epoch, None before the first."""
    query = _epochs(campaign, model).order_by(EpochTable.epoch.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else EpochRow(*row)


def model_states(connection: Connection) -> dict[str, list[tuple[str, str]]]:
    """Return (name, state) of each campaign's models, oldest first."""
    query = select(ModelTable.campaign, ModelTable.name, ModelTable.state)
    found: dict[str, list[tuple[str, str]]] = {}
    rows = connection.execute(query.order_by(ModelTable.created_at))
    for campaign, name, state in rows:
        found.setdefault(campaign, []).append((name, state))
    return found


def _is_named(connection: Connection, sha: str) -> bool:
    """Return whether an epoch or a model has this file."""
    epoch = select(EpochTable.epoch).where(EpochTable.checkpoint_sha == sha)
    model = select(ModelTable.name).where(ModelTable.blob_sha == sha)
    found = (connection.execute(query.limit(1)).first() for query in (epoch, model))
    return any(row is not None for row in found)


def _epochs(campaign: str, model: str) -> Any:
    return select(
        EpochTable.epoch, EpochTable.record_json, EpochTable.checkpoint_sha
    ).where(EpochTable.campaign == campaign, EpochTable.model == model)


@dataclass(frozen=True)
class Models:
    """Models, their training and the history of their states."""

    database: Database
    blobs: BlobStore

    add = writing(add_model)
    get = reading(get_model)
    need = reading(need_model)
    list = reading(list_models)
    find = reading(find_models)
    states = reading(model_states)
    epochs = reading(get_epochs)
    last_epoch = reading(last_epoch)
    promotions = reading(list_promotions)

    _replace_epoch = writing(replace_epoch)
    _forget_checkpoints = writing(forget_checkpoints)
    _move_up = writing_once(promote_model)
    _restore = writing_once(restore_model)

    def save_epoch(
        self, campaign: str, model: str, epoch: int, record_json: str, checkpoint: bytes
    ) -> None:
        """Commit an epoch with its checkpoint; older checkpoints are released.

        The last two checkpoints of a training are kept. The file is on disk before
        the row names it, and a file is deleted only after no row does.
        """
        sha = self.blobs.put_bytes(checkpoint)
        self._replace_epoch(campaign, model, EpochRow(epoch, record_json, sha))
        self._release(campaign, model, epoch - KEPT_CHECKPOINTS)

    def release_checkpoints(self, campaign: str, model: str) -> None:
        """Delete every checkpoint of a training that is finished."""
        last = self.last_epoch(campaign, model)
        if last is not None:
            self._release(campaign, model, last.epoch)

    def promote(
        self,
        campaign: str,
        name: str,
        to: str,
        gate_results: Sequence[GateResult],
        *,
        required: Iterable[str] = tuple(GATES.builtin),
        signed: Signature = UNSIGNED,
    ) -> None:
        """Move a model to staging or production, if every required gate let it pass.

        A promotion to production retires the model that is there. All of it is one
        transaction; the model's file is verified first.

        Raises
        ------
        GateError
            A required gate is missing or failed; the message lists each with its
            numbers.
        StoreError
            There is no such model, or no such way from its state.
        """
        refuse_target(to)
        self.blobs.path(self.need(campaign, name).blob_sha)
        refuse_ungated(name, to, gate_results, tuple(required))
        gates = json.dumps([asdict(result) for result in gate_results])
        self._move_up(campaign, name, to, signed, gates)

    def rollback(self, campaign: str, *, signed: Signature = UNSIGNED) -> str:
        """Put the previous production model back; return its name.

        The present one is retired; both in one transaction. Again, it goes back one
        further.

        Raises
        ------
        StoreError
            There is no production model, or none before it; or the earlier one's
            file is missing or damaged.
        """
        return self._restore(campaign, signed, self.blobs)

    def _release(self, campaign: str, model: str, last: int) -> None:
        for sha in self._forget_checkpoints(campaign, model, last):
            self.blobs.delete(sha)
