"""What a page is about, or the answer 404 where the store has no such thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException, status

from fire_core.campaign.views.models import read_model

if TYPE_CHECKING:
    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.store import Store


def need_campaign(store: Store, name: str) -> CampaignRow:
    """Return a campaign, or answer that there is none."""
    row = store.campaigns.get(name)
    if row is None:
        raise HTTPException(
            status.HTTP_404_NOT_FOUND, f"no campaign {name!r} in this store"
        )
    return row


def need_facts(store: Store, campaign: str, name: str) -> ModelFacts:
    """Return one model, or answer that there is none."""
    found = read_model(store, campaign, name)
    if found is None:
        raise HTTPException(
            status.HTTP_404_NOT_FOUND, f"there is no model {name!r} of {campaign!r}"
        )
    return found
