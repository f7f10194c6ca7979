"""Models, the epochs of their training, and what was measured of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select, update

from fire_core.errors import StoreError
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.engine import insert_missing, reading, writing
from fire_core.storage.tables import EpochTable, EvaluationTable, ModelTable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fire_core.storage.blobs import BlobStore

STATES: Final = ("candidate", "staging", "production", "retired")
KEPT_CHECKPOINTS: Final = 2


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


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """What was measured of a model on a dataset."""

    model: str
    dataset: str
    result_json: str


class ModelTables:
    """Models, epochs and evaluations; a part of `Store`."""

    engine: Engine
    blobs: BlobStore

    def add_model(
        self,
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
        with writing(self.engine, campaign_lock(campaign)) as connection:
            insert_missing(connection, ModelTable, [row])

    def get_model(self, campaign: str, name: str) -> ModelRow | None:
        """Return a model, or None when it is not trained yet."""
        return next((m for m in self.list_models(campaign) if m.name == name), None)

    def need_model(self, campaign: str, name: str) -> ModelRow:
        """Return a model; StoreError when it is not trained yet."""
        model = self.get_model(campaign, name)
        if model is None:
            have = ", ".join(m.name for m in self.list_models(campaign)) or "none"
            msg = (
                f"campaign {campaign!r} has no model {name!r} (it has: {have}); run "
                "its training first"
            )
            raise StoreError(msg)
        return model

    def list_models(self, campaign: str) -> list[ModelRow]:
        """Return a campaign's models, oldest first."""
        with reading(self.engine) as connection:
            query = (
                select(
                    ModelTable.name,
                    ModelTable.blob_sha,
                    ModelTable.parent_sha,
                    ModelTable.config_json,
                    ModelTable.state,
                    ModelTable.created_at,
                )
                .where(ModelTable.campaign == campaign)
                .order_by(ModelTable.created_at)
            )
            return [ModelRow(*row) for row in connection.execute(query)]

    def find_models(self, sha: str) -> list[tuple[str, ModelRow]]:
        """Return (campaign, model) of every model whose file this is, oldest first."""
        query = (
            select(
                ModelTable.campaign,
                ModelTable.name,
                ModelTable.blob_sha,
                ModelTable.parent_sha,
                ModelTable.config_json,
                ModelTable.state,
                ModelTable.created_at,
            )
            .where(ModelTable.blob_sha == sha)
            .order_by(ModelTable.created_at)
        )
        with reading(self.engine) as connection:
            return [(r[0], ModelRow(*r[1:])) for r in connection.execute(query)]

    def save_epoch(
        self, campaign: str, model: str, epoch: int, record_json: str, checkpoint: bytes
    ) -> None:
        """Commit an epoch with its checkpoint; older checkpoints are released.

        The last two checkpoints of a training are kept. The file is on disk before
        the row names it, and a file is deleted only after no row does.
        """
        sha = self.blobs.put_bytes(checkpoint)
        which = (EpochTable.campaign == campaign, EpochTable.model == model)
        with writing(self.engine, campaign_lock(campaign)) as connection:
            connection.execute(
                delete(EpochTable).where(*which, EpochTable.epoch >= epoch)
            )
            connection.execute(
                insert(EpochTable).values(
                    campaign=campaign,
                    model=model,
                    epoch=epoch,
                    record_json=record_json,
                    checkpoint_sha=sha,
                )
            )
        self._release_checkpoints(campaign, model, epoch - KEPT_CHECKPOINTS)

    def release_checkpoints(self, campaign: str, model: str) -> None:
        """Let go of every checkpoint of a training that is finished."""
        last = self.last_epoch(campaign, model)
        if last is not None:
            self._release_checkpoints(campaign, model, last.epoch)

    def _release_checkpoints(self, campaign: str, model: str, last: int) -> None:
        which = (
            EpochTable.campaign == campaign,
            EpochTable.model == model,
            EpochTable.epoch <= last,
            EpochTable.checkpoint_sha.is_not(None),
        )
        with writing(self.engine, campaign_lock(campaign)) as connection:
            old = list(
                connection.scalars(select(EpochTable.checkpoint_sha).where(*which))
            )
            connection.execute(
                update(EpochTable).where(*which).values(checkpoint_sha=None)
            )
            unused = [
                sha
                for sha in old
                if sha is not None
                and not connection.scalar(
                    select(func.count())
                    .select_from(EpochTable)
                    .where(EpochTable.checkpoint_sha == sha)
                )
                and not connection.scalar(
                    select(func.count())
                    .select_from(ModelTable)
                    .where(ModelTable.blob_sha == sha)
                )
            ]
        for sha in unused:
            self.blobs.delete(sha)

    def get_epochs(self, campaign: str, model: str) -> list[EpochRow]:
        """Return the finished epochs of a training in order."""
        with reading(self.engine) as connection:
            query = (
                select(
                    EpochTable.epoch, EpochTable.record_json, EpochTable.checkpoint_sha
                )
                .where(EpochTable.campaign == campaign, EpochTable.model == model)
                .order_by(EpochTable.epoch)
            )
            return [EpochRow(*row) for row in connection.execute(query)]

    def last_epoch(self, campaign: str, model: str) -> EpochRow | None:
        """Return the last finished epoch, None before the first."""
        epochs = self.get_epochs(campaign, model)
        return epochs[-1] if epochs else None

    def save_evaluation(
        self, campaign: str, model: str, dataset: str, result_json: str
    ) -> None:
        """Keep what was measured, replacing an earlier measurement."""
        which = (
            EvaluationTable.campaign == campaign,
            EvaluationTable.model == model,
            EvaluationTable.dataset == dataset,
        )
        with writing(self.engine, campaign_lock(campaign)) as connection:
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
        self, campaign: str, model: str, dataset: str
    ) -> EvaluationRow | None:
        """Return a measurement, or None when it was not made yet."""
        return next(
            (
                row
                for row in self.list_evaluations(campaign)
                if row.model == model and row.dataset == dataset
            ),
            None,
        )

    def list_evaluations(self, campaign: str) -> list[EvaluationRow]:
        """Return every measurement of a campaign's models."""
        with reading(self.engine) as connection:
            query = select(
                EvaluationTable.model,
                EvaluationTable.dataset,
                EvaluationTable.result_json,
            ).where(EvaluationTable.campaign == campaign)
            return [EvaluationRow(*row) for row in connection.execute(query)]
