"""Flow: the perturbed structures that begin a campaign."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.reference import CampaignRef
from tasks.prepare import perturb_structures


@flow(name="fire-perturb", flow_run_name="{ref.name}-perturb")
def perturb_flow(ref: CampaignRef) -> int:
    """Rattle and strain the starting structures; return how many."""
    return perturb_structures(ref)
