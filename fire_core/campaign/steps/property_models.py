"""The model that a property is measured of: its file, and where it can be computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.registry import (
    backbone_interpreter,
    has_file,
    load_backbone,
    load_configured,
    model_file,
    same_family,
)
from fire_core.campaign.state import read_config
from fire_core.campaign.steps.elsewhere import Job, Relay, run_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.properties.request import PropertyRequest
    from fire_core.storage.store import Store


def find_model(store: Store, asked_for: str) -> str:
    """Return what loads a model: `CAMPAIGN/MODEL` becomes the file of its family."""
    campaign, _, model = asked_for.partition("/")
    if not model or Path(asked_for).is_file():
        return asked_for
    row = store.campaigns.get(campaign)
    if row is None:
        return asked_for
    path = store.blobs.path(store.models.need(campaign, model).blob_sha)
    return same_family(read_config(row).backbone.name, path)


def find_request_interpreter(store: Store, request: PropertyRequest) -> Path | None:
    """Return the Python that computes a request's model; None: this one, or none.

    Raises
    ------
    BackboneError
        The model needs an environment that was not made yet.
    """
    if not request.measure.needs().model:
        return None
    return backbone_interpreter(find_model(store, request.need_backbone().name))


def run_with_model(
    step: Callable[..., object],
    argument: object,
    request: PropertyRequest,
    interpreter: Path,
    log: Callable[[str], None],
) -> object:
    """Run a step of a measurement where its model can be computed."""
    says = step.__name__ != "register_property"
    job = Job(step.__module__, step.__name__, None, (argument,), {}, says=says)
    workdir = Path(request.store.blobs).resolve().parent / "work" / request.name
    return run_elsewhere(job, interpreter, workdir, Relay(None, log))


def keep_model(store: Store, request: PropertyRequest, atoms: Atoms) -> str:
    """Return the sha256 of the model's file, which the store keeps from now on."""
    asked_for = request.need_backbone().name
    name = find_model(store, asked_for)
    backbone = load_backbone(name, device="cpu")
    refuse_unknown_elements([atoms], backbone.elements, asked_for)
    file = model_file(name)
    return backbone.sha256 if file is None else store.blobs.put_file(file)


def load_model(store: Store, request: PropertyRequest, sha: str) -> Backbone:
    """Load the model of a measurement by the sha256 that it was entered with."""
    settings = request.need_backbone()
    name = find_model(store, settings.name)
    if name != settings.name:
        settings = settings.model_copy(update={"name": name})
    if not has_file(name):  # its weights are in its package
        return load_configured(settings, request.threads)
    return load_configured(settings, request.threads, store.blobs.path(sha))
