"""Flow: train one model of a campaign."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.names import FIRE
from fire_core.campaign.reference import CampaignRef
from tasks.train import train_model
from tasks.uncertainty import assess_new_labels


@flow(name="fire-train", flow_run_name="{ref.name}-train-{kind}-{round_}")
def train_flow(ref: CampaignRef, round_: int, kind: str) -> str:
    """Train or continue a model; return its sha256.

    Before a round's labels are learnt, they are compared with what was expected.

    Parameters
    ----------
    ref
        The campaign.
    round_
        Round whose labels, and all before, are trained on.
    kind
        `pre_fine_tuned`, `fire` or `vanilla`.
    """
    if kind == FIRE:
        assess_new_labels(ref, round_)
    return train_model(ref, round_, kind)
