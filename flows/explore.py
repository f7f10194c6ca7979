"""Flow: one molecular-dynamics run, segment after segment."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.names import EXPLORE
from fire_core.campaign.reference import CampaignRef
from tasks.explore import advance_run, plan_run
from tasks.progress import Progress
from tasks.uncertainty import score_candidates


@flow(name="fire-explore", flow_run_name="{ref.name}-{purpose}-{round_}")
def explore_flow(ref: CampaignRef, round_: int, purpose: str) -> int:
    """Run or continue an MD run to its end; return the replicas still alive.

    Where uncertainty leads the campaign, that of the candidates is computed after it.

    Parameters
    ----------
    ref
        The campaign.
    round_
        Round that the run belongs to.
    purpose
        `explore` for candidates, `test` for the independent trajectory.
    """
    plan = plan_run(ref, round_, purpose)
    alive = 0
    title = f"MD segments of {purpose}"
    with Progress(f"md-{ref.name}", title, plan.n_segments) as progress:
        for index in range(plan.n_segments):
            alive = advance_run(ref, plan, index)
            progress.advance()
            if alive == 0:
                break
    if purpose == EXPLORE:
        score_candidates(ref, plan)
    return alive
