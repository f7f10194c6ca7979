"""Export a campaign's model, or any backbone, checked on structures that matter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.assets import BUNDLED, bundled_model
from fire_core.backbones.export import ExportFormat, export_model
from fire_core.backbones.neutral import is_neutral
from fire_core.backbones.registry import load_backbone, same_family
from fire_core.campaign.names import START, TEST
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.outlasting import find_neutral

if TYPE_CHECKING:
    from fire_core.backbones.export import ExportResult
    from fire_core.campaign.state import CampaignState

COMPARED: Final = 3  # structures that an exported model is checked on


@where_backbone_lives
def export_campaign_model(
    campaign: CampaignState, name: str, format_: ExportFormat, path: Path, *, dtype: str
) -> ExportResult:
    """Write a model of a campaign, checked on the campaign's own structures.

    Its neutral weights are those that were kept when it was trained; of a model of
    before they are made from its file.
    """
    source = campaign.model_file(name)
    frames = campaign.store.structures.get(_compared_keys(campaign))
    model = same_family(campaign.config.backbone.name, source)
    backbone = load_backbone(model, device="cpu", dtype=dtype)
    backbone.name = f"{name} of {campaign.name}"
    if format_ is ExportFormat.NEUTRAL:
        kept = find_neutral(campaign.store, campaign.name, name)
        blob = None if kept is None else kept.blob
        copied = None if blob is None else campaign.store.blobs.path(blob)
        return export_model(backbone, format_, path, frames=frames, source=copied)
    return export_model(backbone, format_, path, frames=frames, source=source)


def export_backbone(
    name: str, format_: ExportFormat, path: Path, *, dtype: str
) -> ExportResult:
    """Write a backbone by its name or file, checked on made-up rock salts."""
    source = bundled_model() if name == BUNDLED else Path(name)
    backbone = load_backbone(name, device="cpu", dtype=dtype)
    same = is_neutral(source) == (format_ is ExportFormat.NEUTRAL)
    copied = source if source.is_file() and same else None
    return export_model(backbone, format_, path, source=copied)


def _compared_keys(campaign: CampaignState) -> list[str]:
    """Return a few structures of the test trajectory, or the start before it."""
    for round_ in range(campaign.config.rounds, 0, -1):
        row = campaign.store.selections.get(campaign.name, round_, TEST)
        if row is not None:
            return row.keys[:: max(1, len(row.keys) // COMPARED)][:COMPARED]
    return campaign.chosen_keys(0, START)[:1]
