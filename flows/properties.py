"""Flow: measure a property of a model."""

from __future__ import annotations

from prefect import flow

from fire_core.config.environment import results_folder
from fire_core.properties.request import PropertyRequest
from tasks.properties import measure_property, publish_property, register_property


@flow(name="fire-properties", flow_run_name="{request.name}")
def properties_flow(request: PropertyRequest) -> str:
    """Measure a property, or what is left of it; return its key in the store.

    The same request for the same model and structure is measured once, whoever asks;
    one that was interrupted goes on after its last finished part.
    """
    ref = register_property(request)
    measure_property(ref)
    publish_property(ref, request.results or results_folder(request.name))
    return ref.key
