"""Flow: go on with campaigns that are not finished."""

from __future__ import annotations

from prefect import flow

from flows.campaign import campaign_flow
from flows.dispatch import send_campaign
from tasks.missing import read_stored_config, unfinished_campaigns


@flow(name="fire-resume", flow_run_name="fire-resume")
def resume_flow(names: list[str] | None = None) -> list[str]:
    """Start campaigns again, each from where the store has it; return their names.

    Parameters
    ----------
    names
        Which campaigns; left out: every one without a judged model that is not
        running already.
    """
    started = unfinished_campaigns() if names is None else names
    for name in started:
        send_campaign(campaign_flow, read_stored_config(name))
    return started
