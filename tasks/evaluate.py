"""Judge a model on the independent trajectory and beyond, and show the errors."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact

from fire_core.campaign.kinds import Judgement
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps.judging import judge_model
from tasks.observer import observed


@task(name="evaluate", task_run_name="evaluate-{kind}-{round_}")
def evaluate_model(ref: CampaignRef, round_: int, kind: str) -> Judgement:
    """Measure one model's errors, forgetting and stability; keep them in the store."""
    with observed(ref) as campaign:
        return judge_model(campaign, round_, kind)


@task(name="tabulate", task_run_name="tabulate-{ref.name}")
def tabulate_errors(ref: CampaignRef, results: dict[str, Judgement]) -> None:
    """Show the models' errors as a table artifact."""
    create_table_artifact(
        [
            {
                "model": kind,
                "energy RMSE (meV/atom)": round(found.test.energy_rmse, 2),
                "force RMSE (meV/Å)": round(found.test.force_rmse, 1),
                "forgetting force MAE (meV/Å)": round(found.forgetting.force_mae, 1),
                "NVE drift (meV/atom/ps)": round(
                    found.stability.drift_mev_per_atom_per_ps, 3
                ),
            }
            for kind, found in results.items()
        ],
        key=f"errors-{ref.name}",
        description="Errors on the independent trajectory and what was forgotten",
    )
