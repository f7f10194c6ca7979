"""Steps of the tests, run in another process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fire_core.campaign.observer import CampaignEvent
from fire_core.errors import LabellingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.campaign.state import CampaignState


def tell_everything(campaign: CampaignState, *, say: Callable[[str], None]) -> int:
    print("a library printed this")
    campaign.observer.info("an Å of news")
    campaign.observer.warning("look here")
    say("for the caller")
    with campaign.observer.progress("key", "Counting", 3) as work:
        for done in range(1, 4):
            work.reach(done)
    text = "two failed"
    campaign.observer.event(CampaignEvent.FAILED_LABELS, campaign.ref, text)
    return os.getpid()


def fail(_: CampaignState) -> NoReturn:
    raise LabellingError("scf", "it did not converge", "the tail")


def wait_for_ever(folder: str) -> NoReturn:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    while True:
        time.sleep(60)
