"""What every task starts from: which campaign, in which store."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

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
        yield store, _stored_config(row)


def _stored_config(row: CampaignRow) -> CampaignConfig:
    try:
        return CampaignConfig.model_validate_json(row.config_json)
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
        msg = (
            f"the stored configuration of campaign {row.name!r} is of another version "
            f"of FIRE, which this one cannot read ({keys}); use that version, or run "
            "the campaign anew under another name"
        )
        raise StoreError(msg) from error


@contextmanager
def count_usage(
    store: Store, ref: CampaignRef, round_: int, step: str, *, cores: int = 1
) -> Iterator[None]:
    """Add the block's wall and core seconds to the campaign's usage.

    Written also when the block fails, since the time is spent either way.
    """
    start = time.monotonic()
    try:
        yield
    finally:
        wall = time.monotonic() - start
        store.add_usage(ref.name, round_, step, wall_s=wall, core_s=wall * cores)
