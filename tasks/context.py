"""What every task starts from: which campaign, in which store."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from fire_core.backbones.registry import count_gpus
from fire_core.config.campaign import CampaignConfig
from fire_core.config.environment import default_blobs, default_database
from fire_core.errors import LeaseLostError, StoreError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fire_core.storage.campaigns import CampaignRow


PATIENCE_S: Final = 900.0  # that a task waits for a database that is away
STEP_LEASE_S: Final = 40.0
STEP_POLL_S: Final = 2.0


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
        """Tags of every flow run of this campaign."""
        return [f"campaign:{self.name}"]


def default_ref(name: str) -> CampaignRef:
    """Return a campaign of this machine's store."""
    return CampaignRef(name=name, db=default_database(), blobs=default_blobs())


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
    """Open the store, waiting for its database, and read the configuration."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        row = store.campaigns.get(ref.name)
        if row is None:
            known = ", ".join(c.name for c in store.campaigns.list()) or "none"
            msg = (
                f"no campaign {ref.name!r} in {ref.db} (there: {known}); start it "
                "with `fire campaign run FILE`"
            )
            raise StoreError(msg)
        yield store, read_config(row)


class Hold:
    """Work that this process does alone; `check` before anything is committed.

    Parameters
    ----------
    what
        The work, in words.
    take
        Takes or renews it for an owner; returns who has it otherwise.
    let_go
        Ends an owner's hold.
    """

    def __init__(
        self,
        what: str,
        take: Callable[[str], str | None],
        let_go: Callable[[str], None],
    ) -> None:
        self.what = what
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._take, self._let_go = take, let_go
        self._lost: str | None = None

    def take(self) -> str | None:
        """Take or renew the work; return who holds it otherwise."""
        return self._take(self.owner)

    def let_go(self) -> None:
        """Leave the work to whoever comes next."""
        self._let_go(self.owner)

    def renew(self) -> None:
        """Renew the lease, and note if it was lost."""
        self._lost = self.take()

    def check(self) -> None:
        """LeaseLostError when another process does this work by now."""
        if self._lost is not None:
            msg = (
                f"{self.what} is run by {self._lost} by now: this process was silent "
                "for too long; its work is left to that one"
            )
            raise LeaseLostError(msg)


def make_hold(store: Store, ref: CampaignRef, step: str) -> Hold:
    """Return the hold of a campaign's step, not taken yet."""
    return Hold(
        f"{step} of {ref.name!r}",
        lambda owner: store.steps.hold(ref.name, step, owner, STEP_LEASE_S),
        lambda owner: store.steps.release(ref.name, step, owner),
    )


@contextmanager
def hold_step(
    store: Store, ref: CampaignRef, step: str, say: Callable[[str], None]
) -> Iterator[Hold]:
    """Run a block alone among all processes; wait while another one runs it."""
    hold = make_hold(store, ref, step)
    with keep_hold(hold, say):
        yield hold


@contextmanager
def keep_hold(hold: Hold, say: Callable[[str], None]) -> Iterator[None]:
    """Take a hold and keep it for a block; wait while another process has it.

    The lease is renewed while the block runs, so that a process which died is waited
    for no longer than `STEP_LEASE_S`.
    """
    told = False
    while (holder := hold.take()) is not None:
        if not told:
            say(f"{hold.what} is being run by {holder}; waiting for it")
            told = True
        time.sleep(STEP_POLL_S)
    finished = threading.Event()

    def renew() -> None:
        while not finished.wait(STEP_LEASE_S / 3):
            hold.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join(timeout=STEP_LEASE_S)
        hold.let_go()


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
        store.usage.add(
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
