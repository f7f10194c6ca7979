"""Export a campaign's model, or any MACE model, checked on structures that matter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.backbones.assets import BUNDLED, bundled_model
from fire_core.backbones.export import ExportFormat, ExportResult, export_model
from fire_core.backbones.registry import load_backbone, same_family
from fire_core.campaign import START, TEST
from tasks.context import CampaignRef, open_campaign
from tasks.label import chosen_keys

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.store import Store

COMPARED = 3  # structures that an exported model is checked on


def export_campaign_model(
    ref: CampaignRef, name: str, format_: ExportFormat, path: Path, *, dtype: str
) -> ExportResult:
    """Write a model of a campaign, checked on the campaign's own structures."""
    with open_campaign(ref) as (store, config):
        source = store.blobs.path(store.need_model(ref.name, name).blob_sha)
        keys = _compared_keys(store, config, ref)
        frames = store.get_structures(keys)
    model = same_family(config.backbone.name, source)
    backbone = load_backbone(model, device="cpu", dtype=dtype)
    backbone.name = f"{name} of {ref.name}"
    return export_model(backbone, format_, path, frames=frames, source=source)


def export_backbone(
    name: str, format_: ExportFormat, path: Path, *, dtype: str
) -> ExportResult:
    """Write a backbone by its name or file, checked on made-up rock salts."""
    source = bundled_model() if name == BUNDLED else Path(name)
    backbone = load_backbone(name, device="cpu", dtype=dtype)
    return export_model(
        backbone, format_, path, source=source if source.is_file() else None
    )


def _compared_keys(store: Store, config: CampaignConfig, ref: CampaignRef) -> list[str]:
    """Return a few structures of the test trajectory, or the start before it."""
    for round_ in range(config.rounds, 0, -1):
        row = store.get_selection(ref.name, round_, TEST)
        if row is not None:
            return row.keys[:: max(1, len(row.keys) // COMPARED)][:COMPARED]
    return chosen_keys(store, ref, 0, START)[:1]
