"""What every task starts from: which campaign, in which store."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from fire_core.backbones.registry import count_gpus
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import StoreError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fire_core.storage.campaigns import CampaignRow


class CampaignRef(BaseModel):
    """A campaign's name and where its store is; travels between flows.

    Attributes
    ----------
    name
        Name of the campaign.
    db
        SQLAlchemy URL of the store.
    blobs
        Folder of the store's blobs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    db: str
    blobs: str

    @property
    def workdir(self) -> Path:
        """Folder for the working files of this campaign's calculations."""
        return Path(self.blobs).resolve().parent / "work" / self.name


def read_config(row: CampaignRow) -> CampaignConfig:
    """Return a stored campaign's configuration.

    Raises
    ------
    StoreError
        It was written by another FIRE, whose settings had other names.
    """
    try:
        return CampaignConfig.model_validate_json(row.config_json)
    except ValidationError as error:
        names = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
        msg = (
            f"campaign {row.name!r} was started by another FIRE: this one does not "
            f"know its settings {', '.join(names)}; finish it with the FIRE that began "
            "it, or start it again under another name (its labels are reused)"
        )
        raise StoreError(msg) from error


@contextmanager
def open_campaign(ref: CampaignRef) -> Iterator[tuple[Store, CampaignConfig]]:
    """Open the store and read the campaign's configuration from it."""
    with Store.open(ref.db, ref.blobs) as store:
        row = store.get_campaign(ref.name)
        if row is None:
            known = ", ".join(c.name for c in store.list_campaigns()) or "none"
            msg = (
                f"no campaign {ref.name!r} in {ref.db} (there: {known}); start it "
                "with `fire campaign run FILE`"
            )
            raise StoreError(msg)
        yield store, read_config(row)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_of(config: CampaignConfig) -> int:
    """Return how many cores training and dynamics take."""
    return config.threads or available_cores()


@contextmanager
def count_usage(
    store: Store,
    ref: CampaignRef,
    round_: int,
    step: str,
    *,
    cores: int,
    gpus: int = 0,
) -> Iterator[None]:
    """Add the block's wall, core and GPU seconds to the campaign's usage.

    Written also when the block fails, since the time is spent either way.
    """
    start = time.monotonic()
    try:
        yield
    finally:
        wall = time.monotonic() - start
        store.add_usage(
            ref.name,
            round_,
            step,
            wall_s=wall,
            core_s=wall * cores,
            gpu_s=wall * gpus,
        )


@contextmanager
def count_model_usage(
    store: Store,
    config: CampaignConfig,
    ref: CampaignRef,
    round_: int,
    step: str,
    *,
    devices: int = 1,
) -> Iterator[None]:
    """As `count_usage`, for a step that runs the model where the campaign says.

    `devices` processes do so at once, each with the campaign's threads.
    """
    on_gpu = config.backbone.device != "cpu" and count_gpus() > 0
    cores, gpus = devices * cores_of(config), devices if on_gpu else 0
    with count_usage(store, ref, round_, step, cores=cores, gpus=gpus):
        yield
