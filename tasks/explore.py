"""Run molecular dynamics one committed segment at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from fire_core.backbones.base import need_dynamics
from fire_core.backbones.registry import load_configured
from fire_core.campaign import START, sub_seed
from fire_core.exploration.dynamics import (
    bytes_to_state,
    run_segment,
    start_states,
    state_to_bytes,
)
from tasks.context import CampaignRef, count_model_usage, hold_step, open_campaign
from tasks.estimators import let_doubt
from tasks.label import chosen_keys
from tasks.naming import RunPlan, driver_of, dynamics_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import Breach
    from fire_core.storage.store import Store


@task(name="plan-run", task_run_name="plan-{purpose}-{round_}")
def plan_run(ref: CampaignRef, round_: int, purpose: str) -> RunPlan:
    """Open an MD run in the store, or find the one that was begun."""
    with open_campaign(ref) as (store, config):
        dynamics = dynamics_of(config, purpose)
        name = driver_of(purpose, round_)
        sha = store.need_model(ref.name, name).blob_sha
        run_id = store.open_run(
            ref.name, round_, purpose, sha, dynamics.model_dump_json()
        )
        n_segments = -(-dynamics.steps // dynamics.segment)
        return RunPlan(run_id, purpose, round_, name, n_segments)


@task(name="md-segment", task_run_name="{plan.purpose}-segment-{index}", retries=1)
def advance_run(ref: CampaignRef, plan: RunPlan, index: int) -> int:
    """Run one segment unless the store has it; return the replicas still alive.

    Frames and the state to go on from are committed together, so a kill repeats
    this segment alone, and repeats it identically.
    """
    step = f"md-{plan.purpose}-{plan.round}"
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, step, get_run_logger().info) as hold,
    ):
        last = store.last_segment(plan.run_id)
        if last is not None and last.index >= index:
            return len(bytes_to_state(last.state)) if last.index == index else -1
        dynamics = dynamics_of(config, plan.purpose)
        seed = sub_seed(config, plan.purpose, plan.round)
        if last is None:
            start = store.get_structures(chosen_keys(store, ref, 0, START))
            states = start_states(start, dynamics, seed)
        else:
            states = bytes_to_state(last.state)
        if not states:
            return 0
        model = store.need_model(ref.name, plan.model)
        path = store.blobs.path(model.blob_sha)
        loaded = load_configured(config.backbone, config.threads, path)
        backbone = need_dynamics(loaded)
        with count_model_usage(store, config, ref, plan.round, plan.purpose):
            driver, dynamics = let_doubt(store, config, ref, plan, backbone)
            result = run_segment(
                driver,
                states,
                dynamics,
                segment_index=index,
                seed=seed,
                model_sha=model.blob_sha,
            )
            hold.check()
            store.save_segment(
                plan.run_id,
                index,
                result.frames,
                state_to_bytes(result.states),
                result.breaches,
            )
        _log(store, plan, len(result.frames), result.breaches)
        return len(result.states)


def _log(
    store: Store, plan: RunPlan, n_frames: int, breaches: Sequence[Breach]
) -> None:
    logger = get_run_logger()
    total = store.count_frames(plan.run_id)
    logger.info("%s: %d frames saved, %d in all", plan.purpose, n_frames, total)
    for breach in breaches:
        what = "stopped" if breach.back_to is None else f"back to {breach.back_to}"
        logger.warning(
            "replica %d at step %d: %s, %s",
            *(breach.replica, breach.step, breach.reason, what),
        )
