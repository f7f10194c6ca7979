"""Tasks: enter a measurement of a property, measure it, publish what came out."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign.steps import properties as campaign_properties
from fire_core.campaign.steps.properties import PropertyRef
from fire_core.properties.request import PropertyRequest
from fire_core.properties.results import result_to_markdown


@task(name="register-property", task_run_name="register-{request.name}")
def register_property(request: PropertyRequest) -> PropertyRef:
    """Enter a measurement in the store, or find it there."""
    return campaign_properties.register_property(request)


@task(name="measure-property", task_run_name="measure-{ref.name}", retries=1)
def measure_property(ref: PropertyRef) -> None:
    """Measure, unless the store has the result; finished parts are not repeated."""
    campaign_properties.measure_property(ref, get_run_logger().info)


@task(name="publish-property", task_run_name="publish-{ref.name}")
def publish_property(ref: PropertyRef, folder: str) -> None:
    """Write figures and numbers to the results folder; show them in Prefect."""
    row = campaign_properties.read_measurement(ref)
    figures = campaign_properties.write_property(row, Path(folder))
    create_markdown_artifact(
        result_to_markdown(row.need_result(), figures),
        key=f"property-{ref.name}",
        description=f"{row.asked.kind} of {row.asked.formula} by {row.asked.subject}",
    )
