"""What of a campaign is done already, read from the store, so that it is not sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from fire_core.campaign import FIRE, PERTURB, SELECTED, Decision, RoundSummary
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.config.environment import default_blobs, default_database
from fire_core.reading.kinds import (
    CANDIDATE_UNCERTAINTY,
    DECISION,
    JUDGEMENT,
    LABEL_UNCERTAINTY,
)
from fire_core.records import LabelState
from fire_core.storage.store import Store
from tasks.context import PATIENCE_S, CampaignRef, default_ref, open_campaign
from tasks.label import paid_choice, theory_fingerprint
from tasks.naming import model_name
from tasks.uncertainty import read_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.models import EpochRow


def is_chosen(ref: CampaignRef, round_: int, purpose: str) -> bool:
    """Say whether a choice of structures was made."""
    with open_campaign(ref) as (store, _):
        return store.selections.get(ref.name, round_, purpose) is not None


def is_labelled(ref: CampaignRef, round_: int, purpose: str) -> bool:
    """Say whether every label of a choice that may be paid for is settled."""
    with open_campaign(ref) as (store, config):
        row = store.selections.get(ref.name, round_, purpose)
        if row is None:
            return False
        choice = paid_choice(store, ref, round_, purpose)
        counts = store.labels.counts(theory_fingerprint(store, config, purpose), choice)
        settled = counts.get(LabelState.DONE, 0) + counts.get(LabelState.FAILED, 0)
        return settled == len(set(row.keys[: choice.first]))


def is_trained(ref: CampaignRef, round_: int, kinds: Sequence[str]) -> bool:
    """Say whether every one of some kinds of model is there."""
    with open_campaign(ref) as (store, _):
        have = {model.name for model in store.models.list(ref.name)}
    return have >= {model_name(kind, round_) for kind in kinds}


def summarise_round(
    ref: CampaignRef, round_: int, cut: str | None, purpose: str | None = None
) -> RoundSummary:
    """Return what a round chose, by default to train on, and how its labels ended."""
    purpose = purpose or (SELECTED if round_ else PERTURB)
    with open_campaign(ref) as (store, config):
        row = store.selections.get(ref.name, round_, purpose)
        choice = paid_choice(store, ref, round_, purpose)
        counts = store.labels.counts(theory_fingerprint(store, config), choice)
        scored = read_result(store, ref, CANDIDATE_UNCERTAINTY, round_)
        new = read_result(store, ref, LABEL_UNCERTAINTY, round_)
        last = store.models.last_epoch(ref.name, model_name(FIRE, round_))
    return RoundSummary(
        round_,
        counts.get(LabelState.DONE, 0),
        counts.get(LabelState.FAILED, 0),
        0 if row is None else len(row.keys),
        cut,
        trusted=scored["trusted"] / max(scored["n_scored"], 1) if scored else None,
        surprise=new["rmse"] / new["rms_sigma"] if new else None,
        error=_error(last) if round_ else None,
    )


def _error(last: EpochRow | None) -> float | None:
    """Return the validation force RMSE after the last epoch, meV/Å."""
    return (
        None
        if last is None
        else float(json.loads(last.record_json)["valid"]["force_rmse"])
    )


def keep_decision(ref: CampaignRef, decision: Decision) -> None:
    """Keep why a campaign ended, for its report."""
    with open_campaign(ref) as (store, _):
        store.evaluations.save(DECISION, ref.name, asdict(decision))


def unfinished_campaigns() -> list[str]:
    """Return the campaigns of this machine's store without a judged model."""
    with Store.open(
        default_database(), default_blobs(), patience_s=PATIENCE_S
    ) as store:
        return [
            campaign.name
            for campaign in store.campaigns.list()
            if not campaign.name.startswith(STUDY_PREFIX)
            and not any(
                row.subject == FIRE
                for row in store.evaluations.list(JUDGEMENT, campaign.name)
            )
        ]


def read_stored_config(name: str) -> CampaignConfig:
    """Return the configuration of a campaign of this machine's store."""
    with open_campaign(default_ref(name)) as (_, config):
        return config
