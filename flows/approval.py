"""Wait for a person's word on the labels of a round."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import httpx
from prefect import get_run_logger, suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, Pause
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from fire_core.campaign.spending import (
    count_asked,
    decide_labels,
    read_decision,
    read_terms,
)
from fire_core.errors import StoreError
from fire_core.records import ApprovalDecision
from flows.dispatch import on_pools
from flows.runs import approval_key, resume_decided_run

if TYPE_CHECKING:
    from fire_core.campaign.campaign import Campaign
    from fire_core.campaign.spending import Terms

POLL_S: Final = 2.0


def approval_form(n_asked: int, text: str) -> type[RunInput]:
    """Return the form that resumes a run, filled in with what is asked for.

    `RunInput.with_initial_data` would drop limits and descriptions, and the server
    would then take any number.
    """

    class ApproveLabels(RunInput):
        """How many labels may be paid for."""

        labels: int = Field(
            default=n_asked,
            ge=0,
            le=n_asked,
            description="Labels to compute, the first ones of the choice; 0 rejects "
            "them all and ends the campaign with what it has.",
        )
        who: str = Field(default="Prefect UI", description="Who decides.")
        reason: str = Field(default="", description="Why, for the record.")

    ApproveLabels._description = text  # noqa: SLF001
    return ApproveLabels


def wait_for_approval(campaign: Campaign, round_: int, purpose: str) -> Terms:
    """Return what was decided.

    On a pool the run is suspended, which frees its process, and starts from the top
    when it is resumed in the UI or by `fire campaign approve`; steps that are done
    are not run again. Elsewhere the store is looked at until there is a decision.
    """
    if on_pools():
        return _suspend(campaign, round_, purpose)
    get_run_logger().warning(
        "waiting for approval: `fire campaign approve %s` in another terminal",
        campaign.name,
    )
    while (terms := read_terms(campaign, round_, purpose)).state == "pending":
        time.sleep(POLL_S)
    return terms


def _suspend(campaign: Campaign, round_: int, purpose: str) -> Terms:
    """Suspend this run until the labels are decided.

    Whoever decides writes to the store first and then looks for a suspended run; here
    the run is suspended first and then the store is looked at. So one of the two sees
    the other, however close they are.
    """
    n_asked = count_asked(campaign, round_, purpose)
    text = (
        f"{n_asked} labels of {purpose}, round {round_}; what they cost is in the "
        f"artifact approval-{campaign.name}."
    )
    try:
        given: Any = suspend_flow_run(
            wait_for_input=approval_form(n_asked, text),
            timeout=None,
            key=approval_key(round_, purpose),
        )
    except Pause:
        _resume_if_decided(campaign, round_, purpose)
        raise
    word = ApprovalDecision(given.labels, given.who, given.reason)
    return decide_labels(campaign, round_, purpose, word)


def _resume_if_decided(campaign: Campaign, round_: int, purpose: str) -> None:
    """Schedule this suspended run again when its labels were decided meanwhile."""
    try:
        decided = read_decision(campaign, round_, purpose)
        if decided is None or flow_run.id is None:
            return
        with get_client(sync_client=True) as client:
            resume_decided_run(client, UUID(flow_run.id), decided)
    except (httpx.HTTPError, StoreError, ObjectNotFound) as error:
        get_run_logger().warning("left suspended for `fire watch`: %r", error)
