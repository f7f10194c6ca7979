"""Flow: go on with campaigns that are not finished."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.reference import default_ref
from fire_core.campaign.state import CampaignState
from fire_core.campaign.views.overview import default_store, unfinished_campaigns
from flows.campaign import campaign_flow
from flows.dispatch import send_campaign


@flow(name="fire-resume", flow_run_name="fire-resume")
def resume_flow(names: list[str] | None = None) -> list[str]:
    """Start campaigns again, each from where the store has it; return their names.

    Parameters
    ----------
    names
        Which campaigns; left out: every one without a judged model that is not
        running already.
    """
    if names is None:
        with default_store() as store:
            names = unfinished_campaigns(store)
    for name in names:
        with CampaignState.find(default_ref(name)) as campaign:
            config = campaign.config
        send_campaign(campaign_flow, config)
    return names
