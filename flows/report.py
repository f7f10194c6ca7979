"""Flow: write the report of a campaign."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.reference import CampaignRef
from tasks.report import publish_figures, write_campaign_report


@flow(name="fire-report", flow_run_name="{ref.name}-report")
def report_flow(ref: CampaignRef, round_: int, folder: str) -> str:
    """Write the HTML page, figures and results.json; return the page's path."""
    page = write_campaign_report(ref, round_, folder)
    publish_figures(ref, folder)
    return page
