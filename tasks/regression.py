"""Hold a production model against labels that came after it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact

from fire_core.backbones.registry import load_configured
from fire_core.campaign import START
from fire_core.config.environment import default_blobs, default_database
from fire_core.evaluation.errors import summarise_errors
from fire_core.reading.kinds import REGRESSION
from fire_core.storage.store import Store
from tasks.context import (
    PATIENCE_S,
    count_model_usage,
    default_ref,
    open_campaign,
)
from tasks.label import chosen_keys, theory_fingerprint

if TYPE_CHECKING:
    from fire_core.records import ErrorSummary

PRODUCTION = "production"


def production_campaigns() -> list[str]:
    """Return the campaigns of this machine's store that have a production model."""
    with Store.open(
        default_database(), default_blobs(), patience_s=PATIENCE_S
    ) as store:
        return [
            campaign.name
            for campaign in store.campaigns.list()
            if any(m.state == PRODUCTION for m in store.models.list(campaign.name))
        ]


@task(name="check-production-model", task_run_name="check-production-{name}")
def check_production_model(name: str, most: int) -> str | None:
    """Measure a campaign's production model; return what is wrong with it, if so.

    It is judged on the newest labels of its theory, of structures made of its system's
    elements, that were finished after it was trained. The errors are kept under the
    date; where no label is new, nothing is measured.
    """
    say = get_run_logger().info
    ref = default_ref(name)
    with open_campaign(ref) as (store, config):
        (model,) = (m for m in store.models.list(name) if m.state == PRODUCTION)
        theory = theory_fingerprint(store, config)
        start = store.structures.get(chosen_keys(store, ref, 0, START))
        elements = {symbol for atoms in start for symbol in atoms.symbols}
        seen = set(store.datasets.get(name, model.name))
        keys = [
            key
            for key in store.labels.newest(theory, model.created_at, elements, most)
            if key not in seen
        ]
        if not keys:
            say("%s: no label is newer than %s", name, model.name)
            return None
        with count_model_usage(store, config, ref, 0, "regression"):
            backbone = load_configured(
                config.backbone, config.threads, store.blobs.path(model.blob_sha)
            )
            fresh = store.labels.labelled(keys, theory)
            predicted = backbone.predict([item.atoms for item in fresh])
            errors = summarise_errors(predicted, fresh)
        day = time.strftime("%Y-%m-%d", time.gmtime(store.now()))
        store.evaluations.save(
            REGRESSION, name, {"test": asdict(errors)}, subject=f"{model.name}/{day}"
        )
        limit = config.evaluate.gates.force_rmse
    _show(name, model.name, errors, limit)
    if errors.force_rmse <= limit:
        return None
    return (
        f"{model.name} of {name}: force RMSE {errors.force_rmse:.0f} meV/Å on "
        f"{errors.n_structures} new labels, above its gate of {limit:g}"
    )


def _show(name: str, model: str, errors: ErrorSummary, limit: float) -> None:
    create_table_artifact(
        [
            {
                "model": model,
                "new labels": errors.n_structures,
                "energy RMSE (meV/atom)": round(errors.energy_rmse, 2),
                "force RMSE (meV/Å)": round(errors.force_rmse, 1),
                "gate (meV/Å)": limit,
            }
        ],
        key=f"regression-{name}",
        description=f"{model} of {name} on labels that are newer than it",
    )
