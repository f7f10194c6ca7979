"""A step of a campaign is run by one process at a time, fenced by a lease."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fire_core.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fire_core.storage.store import Store

LEASE_S: Final = 40.0
POLL_S: Final = 2.0


class Lease:
    """Work that this process does alone; `check` before anything is committed.

    Parameters
    ----------
    what
        The work, in words.
    take
        Takes or renews it for an owner; returns who has it otherwise.
    release
        Ends an owner's lease.
    """

    def __init__(
        self,
        what: str,
        take: Callable[[str], str | None],
        release: Callable[[str], None],
    ) -> None:
        self.what = what
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._take, self._release = take, release
        self._lost: str | None = None

    def take(self) -> str | None:
        """Take or renew the work; return who has it otherwise."""
        return self._take(self.owner)

    def release(self) -> None:
        """Leave the work to whoever comes next."""
        self._release(self.owner)

    def renew(self) -> None:
        """Renew the lease, and note if it was lost."""
        self._lost = self.take()

    def check(self) -> None:
        """Raise LeaseLostError when another process does this work by now."""
        if self._lost is not None:
            msg = (
                f"{self.what} is run by {self._lost} by now: this process was silent "
                "for too long; its work is left to that one"
            )
            raise LeaseLostError(msg)


def step_lease(store: Store, campaign: str, step: str) -> Lease:
    """Return the lease of a campaign's step, not taken yet."""
    return Lease(
        f"{step} of {campaign!r}",
        lambda owner: store.steps.hold(campaign, step, owner, LEASE_S),
        lambda owner: store.steps.release(campaign, step, owner),
    )


@contextmanager
def hold(lease: Lease, say: Callable[[str], None]) -> Iterator[Lease]:
    """Take a lease and keep it for a block; wait while another process has it.

    It is renewed while the block runs, so that a process which died is waited for no
    longer than `LEASE_S`.
    """
    told = False
    while (holder := lease.take()) is not None:
        if not told:
            say(f"{lease.what} is being run by {holder}; waiting for it")
            told = True
        time.sleep(POLL_S)
    finished = threading.Event()

    def renew() -> None:
        while not finished.wait(LEASE_S / 3):
            lease.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        finished.set()
        thread.join(timeout=LEASE_S)
        lease.release()
