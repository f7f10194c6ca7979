"""Register a campaign and perturb its starting structures."""

from __future__ import annotations

from prefect import task
from prefect.runtime import deployment

from fire_core.campaign.campaign import register_campaign as register
from fire_core.campaign.reference import CampaignRef, refuse_relative
from fire_core.config.campaign import CampaignConfig
from tasks.observer import PrefectObserver, observed


@task(name="register-campaign", task_run_name="register-{config.name}")
def register_campaign(config: CampaignConfig) -> CampaignRef:
    """Enter the campaign in the store, or find it there unchanged."""
    if deployment.id is not None:
        refuse_relative(config.store)
    return register(config, PrefectObserver())


@task(name="perturb", task_run_name="perturb-{ref.name}")
def perturb_structures(ref: CampaignRef) -> int:
    """Store the starting structures and their perturbed copies; return how many."""
    with observed(ref) as campaign:
        return campaign.perturb()
