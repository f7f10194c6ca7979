"""Wait for a person's word on the labels of a round."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prefect import get_run_logger, suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from fire_core.records import Decided
from flows.dispatch import on_pools
from tasks.spending import count_asked, decide_labels, read_terms

if TYPE_CHECKING:
    from tasks.context import CampaignRef
    from tasks.spending import Terms

POLL_S: Final = 2.0


class ApproveLabels(RunInput):
    """How many labels may be paid for; the chosen structures come first ones first."""

    labels: int = Field(
        description="Labels to compute; 0 rejects them all and ends the campaign with "
        "what it has.",
        ge=0,
    )
    who: str = Field(default="Prefect UI", description="Who decides.")
    reason: str = Field(default="", description="Why, for the record.")


def wait_for_approval(ref: CampaignRef, round_: int, purpose: str) -> Terms:
    """Return what was decided.

    On a pool the run is suspended, which frees its process, and starts from the top
    when it is resumed in the UI or by `fire campaign approve`; steps that are done
    are not run again. Elsewhere the store is looked at until there is a decision.
    """
    if on_pools():
        n_asked = count_asked(ref, round_, purpose)
        given = suspend_flow_run(
            wait_for_input=ApproveLabels.with_initial_data(
                labels=n_asked,
                description=f"{n_asked} labels of {purpose}, round {round_}; what they "
                "cost is among the artifacts of this campaign.",
            ),
            timeout=None,
            key=f"approve-{purpose}-{round_}",
        )
        word = Decided(given.labels, given.who, given.reason)
        return decide_labels(ref, round_, purpose, word)
    get_run_logger().warning(
        "waiting for approval: `fire campaign approve %s` in another terminal", ref.name
    )
    while (terms := read_terms(ref, round_, purpose)).state == "pending":
        time.sleep(POLL_S)
    return terms
