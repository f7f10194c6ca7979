"""The service itself: database, disks, pools and workers, and who did what."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Role, Visitor
from dashboard.prefect_api import Orchestrator, ask_prefect
from dashboard.rendering import render
from fire_core.config.environment import dft_licences, gpu_count
from fire_core.storage.health import examine_database

if TYPE_CHECKING:
    from dashboard.settings import DashboardSettings
    from fire_core.storage.store import Store

router = APIRouter()
FULL: Final = 0.9
"""Part of a disk beyond which it is called nearly full."""
SHOWN: Final = 50
KEPT_S: Final = 4.0
"""Seconds for which Prefect's answer holds: a page that many look at asks once."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: what is kept there, its size and free space, bytes."""

    what: str
    total: int
    free: int

    @property
    def is_nearly_full(self) -> bool:
        """Whether it is time to act."""
        return self.free < (1 - FULL) * self.total


class CachedAnswer:
    """Prefect's last answer, for a few seconds."""

    def __init__(self) -> None:
        self.at = -KEPT_S
        self.said: Orchestrator | None = None

    def ask(self, api: str) -> Orchestrator | None:
        """Return what Prefect says; None where no server is named."""
        if not api:
            return None
        if time.monotonic() - self.at > KEPT_S:
            self.said, self.at = ask_prefect(api), time.monotonic()
        return self.said


PREFECT: Final = CachedAnswer()


@router.get("/system")
def show(
    request: Request, visitor: Annotated[Visitor, Depends(need(Right.SEE))]
) -> Response:
    """Show the service."""
    store: Store = request.app.state.store()
    settings: DashboardSettings = request.app.state.settings
    is_operator = visitor.role is Role.OPERATOR
    return render(
        request,
        "system",
        visitor=visitor,
        health=examine_database(settings.db),
        structures=store.structures.count(),
        disks=read_disks(settings),
        workers=store.labels.workers(),
        steps=store.steps.running(),
        prefect=PREFECT.ask(os.environ.get("PREFECT_API_URL", "")),
        gpus=gpu_count(),
        licences=dft_licences(),
        actions=store.actions.list(SHOWN) if is_operator else None,
    )


def read_disks(settings: DashboardSettings) -> list[Disk]:
    """Return the file systems of blobs and of an embedded database."""
    places = {"blobs": Path(settings.blobs)}
    if settings.db.startswith("sqlite:///"):
        places["database"] = Path(settings.db.removeprefix("sqlite:///")).parent
    disks: dict[int, Disk] = {}
    for what, place in places.items():
        if not place.is_dir():
            continue
        device = place.stat().st_dev
        usage = shutil.disk_usage(place)
        known = disks.get(device)
        name = what if known is None else f"{known.what}, {what}"
        disks[device] = Disk(name, usage.total, usage.free)
    return list(disks.values())
