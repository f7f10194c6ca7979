"""Flow: hold production models against labels that are newer than they are."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.steps.regression import production_campaigns
from fire_core.campaign.views.overview import default_store
from fire_core.errors import GateError
from tasks.regression import check_production_model


@flow(name="fire-regression", flow_run_name="fire-regression")
def regression_flow(names: list[str] | None = None, most: int = 200) -> None:
    """Measure each production model on the newest labels it has not learnt from.

    The run fails, naming the models, when a force error is above the gate that the
    model had to pass; every measurement is kept in the store.

    Parameters
    ----------
    names
        Campaigns; left out: all that have a production model.
    most
        Newest labels to take at most.
    """
    if names is None:
        with default_store() as store:
            names = production_campaigns(store)
    worse = [
        verdict
        for name in names
        if (verdict := check_production_model(name, most)) is not None
    ]
    if worse:
        raise GateError("; ".join(worse))
