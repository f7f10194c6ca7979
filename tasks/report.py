"""Write the report of a campaign, and show two of its figures in Prefect's UI."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from prefect import task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps.reporting import write_campaign_report as write_report
from tasks.observer import observed

SHOWN_FIGURES: Final = ("pca_map", "parity_forces")


@task(name="write-report", task_run_name="report-{ref.name}")
def write_campaign_report(ref: CampaignRef, round_: int, folder: str) -> str:
    """Write the page, its figures and results.json; return the page's path."""
    with observed(ref) as campaign:
        return str(write_report(campaign, folder, round_))


@task(name="publish-figures", task_run_name="figures-{ref.name}")
def publish_figures(ref: CampaignRef, folder: str) -> None:
    """Show the PCA map and the parity plot in Prefect's UI."""
    for name in SHOWN_FIGURES:
        picture = Path(folder) / "figures" / f"{name}.png"
        if picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode()
            create_markdown_artifact(
                f"![{name}](data:image/png;base64,{data})",
                key=f"{name.replace('_', '-')}-{ref.name}",
                description=name.replace("_", " "),
            )
