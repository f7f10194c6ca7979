"""Hold a production model against labels that came after it, and show the errors."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact

from fire_core.campaign.reference import default_ref
from fire_core.campaign.steps import regression
from tasks.observer import observed


@task(name="check-production-model", task_run_name="check-production-{name}")
def check_production_model(name: str, most: int) -> str | None:
    """Measure a campaign's production model; return what is wrong with it, if so."""
    with observed(default_ref(name)) as campaign:
        found = regression.check_production_model(campaign, most)
    if found is None:
        return None
    create_table_artifact(
        [
            {
                "model": found.model,
                "new labels": found.errors.n_structures,
                "energy RMSE (meV/atom)": round(found.errors.energy_rmse, 2),
                "force RMSE (meV/Å)": round(found.errors.force_rmse, 1),
                "gate (meV/Å)": found.limit,
            }
        ],
        key=f"regression-{name}",
        description=f"{found.model} of {name} on labels that are newer than it",
    )
    return found.verdict
