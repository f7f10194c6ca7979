"""A campaign's name and where its store is: what travels between processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from fire_core.config.environment import default_blobs, default_database
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from fire_core.config.campaign import StoreConfig


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

    def tags(self) -> list[str]:
        """Return the tags of every flow run of this campaign."""
        return [f"campaign:{self.name}"]


def default_ref(name: str) -> CampaignRef:
    """Return a campaign of this machine's store."""
    return CampaignRef(name=name, db=default_database(), blobs=default_blobs())


def refuse_relative(store: StoreConfig) -> None:
    """Refuse a store that each worker would look for in its own folder.

    Raises
    ------
    ConfigError
        The database or the blobs are named by a relative path.
    """
    url, blobs = store.url, store.blobs
    lost = [blobs] if not Path(blobs).is_absolute() else []
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        lost.append(url)
    if lost:
        msg = (
            f"on a work pool a relative path ({', '.join(lost)}) is another one for "
            "each run: set FIRE_DB and FIRE_BLOBS on the workers, or give absolute "
            "paths under `store`"
        )
        raise ConfigError(msg)
