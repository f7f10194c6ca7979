"""Run molecular dynamics one committed segment at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.backbones.base import need_dynamics
from fire_core.campaign.names import TEST, RunPlan, driver_of, dynamics_of
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.estimators import guard_by_uncertainty
from fire_core.campaign.usage import count_model_usage
from fire_core.exploration.dynamics import (
    bytes_to_state,
    run_segment,
    start_states,
    state_to_bytes,
)
from fire_core.exploration.harvest import spread
from fire_core.storage.selections import SelectionRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.state import CampaignState
    from fire_core.records import Breach


def plan_run(campaign: CampaignState, round_: int, purpose: str) -> RunPlan:
    """Open an MD run in the store, or find the one that was begun."""
    dynamics = dynamics_of(campaign.config, purpose)
    name = driver_of(purpose, round_)
    store = campaign.store
    sha = store.models.need(campaign.name, name).blob_sha
    settings = dynamics.model_dump_json()
    run_id = store.runs.open(campaign.name, round_, purpose, sha, settings)
    n_segments = -(-dynamics.steps // dynamics.segment)
    return RunPlan(run_id, purpose, round_, name, n_segments)


@where_backbone_lives
def advance_run(campaign: CampaignState, plan: RunPlan, index: int) -> int:
    """Run one segment unless the store has it; return the replicas still alive.

    Frames and the state to go on from are committed together, so a kill repeats
    this segment alone, and repeats it identically.
    """
    store = campaign.store
    with campaign.holding(f"md-{plan.purpose}-{plan.round}") as lease:
        last = store.runs.last_segment(plan.run_id)
        if last is not None and last.index >= index:
            return len(bytes_to_state(last.state)) if last.index == index else -1
        dynamics = dynamics_of(campaign.config, plan.purpose)
        seed = campaign.seed(plan.purpose, plan.round)
        if last is None:
            states = start_states(campaign.start(), dynamics, seed)
        else:
            states = bytes_to_state(last.state)
        if not states:
            return 0
        backbone = need_dynamics(campaign.load(plan.model))
        with count_model_usage(campaign, plan.round, plan.purpose):
            driver, dynamics = guard_by_uncertainty(campaign, plan, backbone)
            result = run_segment(
                driver,
                states,
                dynamics,
                segment_index=index,
                seed=seed,
                model_sha=backbone.sha256,
            )
            lease.check()
            state = state_to_bytes(result.states)
            store.runs.save_segment(
                plan.run_id, index, result.frames, state, result.breaches
            )
        _log(campaign, plan, len(result.frames), result.breaches)
        return len(result.states)


def run_dynamics(campaign: CampaignState, plan: RunPlan) -> int:
    """Run or continue an MD run to its end; return the replicas still alive."""
    title = f"MD segments of {plan.purpose}"
    key = f"md-{campaign.name}"
    alive = 0
    with campaign.observer.progress(key, title, plan.n_segments) as progress:
        for index in range(plan.n_segments):
            alive = advance_run(campaign, plan, index)
            progress.advance()
            if alive == 0:
                break
    return alive


def choose_test_frames(campaign: CampaignState, plan: RunPlan) -> int:
    """Take evenly spaced frames of the independent trajectory as the test set."""
    store = campaign.store
    done = store.selections.get(campaign.name, plan.round, TEST)
    if done is not None:
        return len(done.keys)
    keys = [row.key for row in store.runs.frames(plan.run_id)]
    chosen = [keys[i] for i in spread(len(keys), campaign.config.evaluate.n)]
    row = SelectionRow("evenly_spaced", chosen)
    store.selections.save(campaign.name, plan.round, TEST, row)
    return len(chosen)


def _log(
    campaign: CampaignState, plan: RunPlan, n_frames: int, breaches: Sequence[Breach]
) -> None:
    total = campaign.store.runs.count_frames(plan.run_id)
    campaign.observer.info(f"{plan.purpose}: {n_frames} frames saved, {total} in all")
    for breach in breaches:
        what = "stopped" if breach.back_to is None else f"back to {breach.back_to}"
        campaign.observer.warning(
            f"replica {breach.replica} at step {breach.step}: {breach.reason}, {what}"
        )
