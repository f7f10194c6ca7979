"""Choose the candidates worth a label."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from fire_core.campaign.choices import encode_choice, read_regions
from fire_core.campaign.names import PERTURB, SELECTED
from fire_core.campaign.observer import CampaignEvent
from fire_core.campaign.steps.candidates import judge_by_forces, reduce_run, screen_run
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.uncertainty import UncertaintyFilter
from fire_core.campaign.usage import count_usage
from fire_core.config.open_sets import SELECTORS
from fire_core.errors import StructureError
from fire_core.selection.alarm import judge_q_residuals
from fire_core.selection.explain import explain
from fire_core.selection.selectors import find_duplicates, select
from fire_core.storage.selections import SelectionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.names import RunPlan
    from fire_core.campaign.state import CampaignState
    from fire_core.campaign.steps.candidates import Screened
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import ScreenConfig
    from fire_core.records import Pick, Problem
    from fire_core.selection.alarm import QAlarm
    from fire_core.selection.pipeline import Reduced
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store


@where_backbone_lives
def select_candidates(campaign: CampaignState, plan: RunPlan) -> int:
    """Choose from a run's frames by SOAP, PCA and the selector; return how many."""
    with campaign.holding(f"select-{plan.round}"):
        done = campaign.store.selections.get(campaign.name, plan.round, SELECTED)
        if done is not None:
            return len(done.keys)
        workers = campaign.config.select.soap.workers
        with count_usage(campaign, plan.round, "select", cores=workers):
            row = _select(campaign, plan)
        campaign.store.selections.save(campaign.name, plan.round, SELECTED, row)
        return len(row.keys)


def _select(campaign: CampaignState, plan: RunPlan) -> SelectionRow:
    store, config = campaign.store, campaign.config
    screened = screen_run(campaign, plan)
    led = UncertaintyFilter.read(campaign, plan.round)
    _refuse_few(screened, 2 if led.is_led else config.select.n)
    known = [
        key
        for round_ in range(plan.round)
        for key in campaign.chosen_keys(round_, SELECTED if round_ else PERTURB)
    ]
    model = cache(lambda: campaign.load(plan.model))
    regions = read_regions(store, campaign.name)
    reduced = reduce_run(campaign, screened, known, model, regions=regions)
    seed = campaign.seed("select", plan.round)
    judge = partial(_judge, store, model, config.select.screen)
    picks = _pick(config, screened, reduced, seed, judge=judge, led=led)
    method = str(config.select.method)
    if not picks:
        return SelectionRow(method, [])
    explanation = explain(reduced.points, reduced.known, picks, reduced.q_residuals)
    alarm = judge_q_residuals(reduced.q_residuals, reduced.known_q)
    if alarm is not None and alarm.rings:
        _report_novelty(campaign, plan.round, alarm, screened.kept[alarm.worst])
    refused = Counter(problem.kind for problem in screened.refused.values())
    campaign.observer.info(
        f"{len(picks)} of {len(screened.kept) + len(screened.refused)} candidates "
        f"chosen; refused: {dict(refused)}; distance of the candidates to the nearest "
        f"labelled or chosen: mean {explanation.after.mean:.2f}, largest "
        f"{explanation.after.largest:.2f} of their spread"
    )
    meta = encode_choice(store, screened, reduced, picks, (explanation, alarm))
    keys = [screened.kept[pick.index].key for pick in picks]
    return SelectionRow(method, keys, picks, meta)


def _report_novelty(
    campaign: CampaignState, round_: int, alarm: QAlarm, worst: FrameRow
) -> None:
    """Report that the run left what was learnt: from round 2 on an alarm.

    The first round's labels are rattled copies of one cell, which any run leaves.
    """
    text = (
        f"round {round_}: {alarm.share:.1%} of the candidates differ from everything "
        f"learnt, by Q-residual ({alarm.expected:.1%} would by chance); the farthest "
        f"is replica {worst.replica} at step {worst.step}, {worst.temperature:.0f} K; "
        f"`fire campaign explain {campaign.name}` shows what was chosen of them"
    )
    if round_ > 1:
        campaign.observer.warning(text)
        campaign.observer.event(CampaignEvent.NEW_TERRITORY, campaign.ref, text)
    else:
        campaign.observer.info(text)


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
    led: UncertaintyFilter,
) -> list[Pick]:
    """Choose, and choose again without those whose forces are beyond the limit."""
    keys = [row.key for row in screened.kept]
    allowed = ~find_duplicates(reduced.points, reduced.known)
    judged: set[str] = set()
    method = config.select.method
    if SELECTORS.load(method).needs_uncertainty and not led.is_led:
        method = "kmeans"  # a committee's first round: nothing is uncertain yet
    while True:
        sound = [key for key, is_sound in zip(keys, allowed, strict=True) if is_sound]
        pool, n = led.choose(sound)
        if n == 0:
            return []
        picks = select(
            reduced.points,
            config.select.model_copy(update={"n": n, "method": method}),
            rng_seed=seed,
            known=reduced.known,
            allowed=allowed & np.array([key in pool for key in keys]),
            uncertainty=led.uncertainty(keys),
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
