"""Test a production model on labels that came after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.campaign.kinds import REGRESSION, Regression
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.usage import count_model_usage
from fire_core.evaluation.errors import summarise_errors

if TYPE_CHECKING:
    from fire_core.campaign.state import CampaignState
    from fire_core.records import ErrorSummary
    from fire_core.storage.store import Store

PRODUCTION: Final = "production"


@dataclass(frozen=True, slots=True)
class RegressionCheck:
    """A production model on newer labels, and the gate that it had to pass, meV/Å."""

    campaign: str
    model: str
    errors: ErrorSummary
    limit: float

    @property
    def verdict(self) -> str | None:
        """What is wrong with the model; None: nothing."""
        if self.errors.force_rmse <= self.limit:
            return None
        return (
            f"{self.model} of {self.campaign}: force RMSE "
            f"{self.errors.force_rmse:.0f} meV/Å on {self.errors.n_structures} new "
            f"labels, above its gate of {self.limit:g}"
        )


def production_campaigns(store: Store) -> list[str]:
    """Return the campaigns of a store that have a production model."""
    return [
        campaign.name
        for campaign in store.campaigns.list()
        if any(m.state == PRODUCTION for m in store.models.list(campaign.name))
    ]


@where_backbone_lives
def check_production_model(
    campaign: CampaignState, most: int
) -> RegressionCheck | None:
    """Measure a campaign's production model on at most `most` newer labels.

    It is judged on the newest labels of its theory, of structures made of its system's
    elements, that were finished after it was trained. The errors are kept under the
    date; where no label is new, nothing is measured and None returned.
    """
    store, name = campaign.store, campaign.name
    (model,) = (m for m in store.models.list(name) if m.state == PRODUCTION)
    elements = {symbol for atoms in campaign.start() for symbol in atoms.symbols}
    seen = set(store.datasets.get(name, model.name))
    theory = campaign.theory()
    keys = [
        key
        for key in store.labels.newest(theory, model.created_at, elements, most)
        if key not in seen
    ]
    if not keys:
        campaign.observer.info(f"{name}: no label is newer than {model.name}")
        return None
    with count_model_usage(campaign, 0, "regression"):
        fresh = store.labels.labelled(keys, theory)
        predicted = campaign.load(model.name).predict([item.atoms for item in fresh])
        errors = summarise_errors(predicted, fresh)
    day = time.strftime("%Y-%m-%d", time.gmtime(store.now()))
    store.evaluations.save(
        REGRESSION, name, Regression(errors), subject=f"{model.name}/{day}"
    )
    limit = campaign.config.evaluate.gates.force_rmse
    return RegressionCheck(name, model.name, errors, limit)
