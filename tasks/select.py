"""Choose the candidates worth a label."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import asdict
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import get_run_logger, task

from fire_core.campaign import PERTURB, SELECTED, TEST, sub_seed
from fire_core.errors import StructureError
from fire_core.exploration.harvest import spread
from fire_core.selection.alarm import QAlarm, judge_q_residuals
from fire_core.selection.explain import Explanation, explain
from fire_core.selection.selectors import find_duplicates, select
from fire_core.storage.selections import SelectionRow
from tasks.candidates import (
    Screened,
    exploring_model,
    judge_by_forces,
    reduce_run,
    screen_run,
)
from tasks.context import CampaignRef, count_usage, hold_step, open_campaign
from tasks.events import NEW_TERRITORY, tell
from tasks.label import chosen_keys
from tasks.naming import RunPlan
from tasks.uncertainty import Narrowing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import ScreenConfig
    from fire_core.records import Pick, Problem
    from fire_core.selection.pipeline import Reduced
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store


@task(name="select", task_run_name="select-round-{plan.round}")
def select_candidates(ref: CampaignRef, plan: RunPlan) -> int:
    """Choose from a run's frames by SOAP, PCA and the selector; return how many."""
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"select-{plan.round}", get_run_logger().info),
    ):
        done = store.selections.get(ref.name, plan.round, SELECTED)
        if done is not None:
            return len(done.keys)
        with count_usage(
            store, ref, plan.round, "select", cores=config.select.soap.workers
        ):
            return _select(store, config, ref, plan)


def _select(
    store: Store, config: CampaignConfig, ref: CampaignRef, plan: RunPlan
) -> int:
    screened = screen_run(store, config, ref, plan)
    narrowing = Narrowing.read(store, config, ref, plan.round)
    _refuse_few(screened, 2 if narrowing.is_led else config.select.n)
    known = [
        key
        for round_ in range(plan.round)
        for key in chosen_keys(store, ref, round_, SELECTED if round_ else PERTURB)
    ]
    model = cache(lambda: exploring_model(store, config, ref, plan))
    reduced = reduce_run(store, config, ref, screened, known, model)
    seed = sub_seed(config, "select", plan.round)
    judge = partial(_judge, store, model, config.select.screen)
    picks = _pick(config, screened, reduced, seed, judge=judge, narrowing=narrowing)
    if not picks:
        row = SelectionRow(str(config.select.method), [])
        store.selections.save(ref.name, plan.round, SELECTED, row)
        return 0
    explanation = explain(reduced.points, reduced.known, picks, reduced.q_residuals)
    alarm = judge_q_residuals(reduced.q_residuals, reduced.known_q)
    if alarm is not None and alarm.rings:
        _ring(ref, plan.round, alarm, screened.kept[alarm.worst])
    refused = Counter(problem.kind for problem in screened.refused.values())
    get_run_logger().info(
        "%d of %d candidates chosen; refused: %s; distance of the candidates to the "
        "nearest labelled or chosen: mean %.2f, largest %.2f of their spread",
        len(picks),
        len(screened.kept) + len(screened.refused),
        dict(refused),
        explanation.after.mean,
        explanation.after.largest,
    )
    chosen = [screened.kept[pick.index].key for pick in picks]
    flags = {key: [p.kind, p.detail] for key, p in screened.refused.items()}
    meta = {
        "candidates": len(screened.kept) + len(screened.refused),
        "refused": dict(refused),
        "refused_blob": store.blobs.put_bytes(json.dumps(flags).encode()),
        "explained_variance": [float(v) for v in reduced.pca.explained_ratio],
        "map_blob": store.blobs.put_bytes(
            _map_bytes(reduced.points, screened.kept, picks)
        ),
        "explanation": explanation_to_dict(explanation, screened.kept),
        "q_alarm": alarm and asdict(alarm),
    }
    store.selections.save(
        ref.name,
        plan.round,
        SELECTED,
        SelectionRow(str(config.select.method), chosen, picks, json.dumps(meta)),
    )
    return len(chosen)


def _ring(ref: CampaignRef, round_: int, alarm: QAlarm, worst: FrameRow) -> None:
    """Say that the run left what was learnt: always of note, from round 2 an alarm.

    The first round's labels are rattled copies of one cell, which any run leaves.
    """
    text = (
        f"round {round_}: {alarm.share:.1%} of the candidates differ from everything "
        f"learnt, by Q-residual ({alarm.expected:.1%} would by chance); the farthest "
        f"is replica {worst.replica} at step {worst.step}, {worst.temperature:.0f} K; "
        f"`fire campaign explain {ref.name}` shows what was chosen of them"
    )
    if round_ > 1:
        get_run_logger().warning(text)
        tell(NEW_TERRITORY, ref, text)
    else:
        get_run_logger().info(text)


def _refuse_few(screened: Screened, n: int) -> None:
    if len(screened.kept) >= max(n, 2):
        return
    reasons = Counter(problem.kind for problem in screened.refused.values())
    msg = (
        f"expected at least {max(n, 2)} candidates to select from, got "
        f"{len(screened.kept)}; refused by screening: {dict(reasons) or 'none'}; lower "
        "select.n, raise explore.steps or explore.replicas, or see select.screen"
    )
    raise StructureError(msg)


def _judge(
    store: Store,
    model: Callable[[], Backbone],
    limits: ScreenConfig,
    keys: Sequence[str],
) -> dict[str, Problem]:
    """Return what is wrong with the forces on some candidates, by key."""
    if limits.forces == "never":
        return {}
    return judge_by_forces(store, model(), keys, limits.max_force)


def _pick(
    config: CampaignConfig,
    screened: Screened,
    reduced: Reduced,
    seed: int,
    *,
    judge: Callable[[Sequence[str]], dict[str, Problem]],
    narrowing: Narrowing,
) -> list[Pick]:
    """Choose, and choose again without those whose forces are beyond the limit."""
    keys = [row.key for row in screened.kept]
    allowed = ~find_duplicates(reduced.points, reduced.known)
    judged: set[str] = set()
    method = config.select.method
    if method == "uncertain" and not narrowing.is_led:
        method = "kmeans"  # a committee's first round: nothing is uncertain yet
    while True:
        sound = [key for key, is_sound in zip(keys, allowed, strict=True) if is_sound]
        pool, n = narrowing.choose(sound)
        if n == 0:
            return []
        picks = select(
            reduced.points,
            config.select.model_copy(update={"n": n, "method": method}),
            rng_seed=seed,
            known=reduced.known,
            allowed=allowed & np.array([key in pool for key in keys]),
            uncertainty=narrowing.uncertainty(keys),
        )
        picks = sorted(picks, key=lambda pick: pick.rank)
        chosen = {keys[pick.index] for pick in picks}
        fresh = sorted(chosen - judged)
        judged |= chosen
        found = judge(fresh)
        if not found:
            return picks
        screened.refused.update(found)
        allowed &= [key not in found for key in keys]


def explanation_to_dict(
    explanation: Explanation, rows: Sequence[FrameRow]
) -> dict[str, Any]:
    """Return an explanation with the frames that it names, fit for JSON."""

    def frame(index: int) -> dict[str, Any]:
        row = rows[index]
        return {
            "key": row.key,
            "replica": row.replica,
            "temperature": row.temperature,
            "step": row.step,
        }

    return {
        "unit": explanation.unit,
        "q_limit": explanation.q_limit,
        "before": explanation.before and asdict(explanation.before),
        "after": asdict(explanation.after),
        "picks": [
            frame(reason.index)
            | {k: v for k, v in asdict(reason).items() if k != "index"}
            for reason in explanation.picks
        ],
        "regions": [
            {
                "example": frame(region.example),
                "distance": region.distance,
                "candidates": len(region.members),
                "temperatures": sorted({rows[i].temperature for i in region.members}),
            }
            for region in explanation.regions
        ],
    }


def _map_bytes(
    points: NDArray[np.float64], rows: Sequence[FrameRow], picks: Sequence[Pick]
) -> bytes:
    """Pack what the PCA map shows: coordinates, temperatures, picks."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        coordinates=points[:, :2].astype(np.float32),
        temperatures=np.array([row.temperature for row in rows]),
        picked=np.array([pick.index for pick in picks]),
    )
    return buffer.getvalue()


@task(name="choose-test", task_run_name="choose-test-{ref.name}")
def choose_test_frames(ref: CampaignRef, plan: RunPlan) -> int:
    """Take evenly spaced frames of the independent trajectory as the test set."""
    with open_campaign(ref) as (store, config):
        done = store.selections.get(ref.name, plan.round, TEST)
        if done is not None:
            return len(done.keys)
        keys = [row.key for row in store.runs.frames(plan.run_id)]
        chosen = [keys[i] for i in spread(len(keys), config.evaluate.n)]
        store.selections.save(
            ref.name, plan.round, TEST, SelectionRow("evenly_spaced", chosen)
        )
        return len(chosen)
