"""One campaign for people: its labels, their pace, its cost, its rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.campaign.kinds import CANDIDATES, NEW_LABELS
from fire_core.campaign.names import FIRE, ZERO_SHOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.campaign.kinds import (
        CandidateUncertainty,
        Judgement,
        LabelUncertainty,
    )
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.store import Store
    from fire_core.storage.usage import UsageRow


@dataclass(frozen=True, slots=True)
class Cost:
    """What a campaign used, in hours, and what a better force cost.

    `per_gain` is in core-hours of everything per meV/Å of force error that the last
    model is below the foundation model; None where it is not below.
    """

    core: float
    gpu: float
    labels: float
    per_gain: float | None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of a campaign: planned in all, done, and when the last is expected."""

    planned: int | None
    done: int
    end: float | None
    history: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class RoundUncertainty:
    """What uncertainty said of a round's candidates and new labels; None: nothing."""

    round: int
    candidates: CandidateUncertainty | None
    new_labels: LabelUncertainty | None


def read_labels(store: Store, name: str, config: CampaignConfig | None) -> Labels:
    """Return how far a campaign's labels are, and when they end at this pace."""
    history = store.labels.history(name)
    planned = None if config is None else planned_labels(config)
    end = None
    if planned is not None and len(history) > 1 and len(history) < planned:
        recent = history[-50:]
        span = recent[-1][0] - recent[0][0]
        pace = span / (len(recent) - 1)
        now, last = time.time(), recent[-1][0]
        if now - last < max(3600.0, 10 * pace):  # it goes on
            # Between two rounds of labels nothing moves but the time.
            end = max(last + pace, now) + pace * (planned - len(history) - 1)
    return Labels(planned, len(history), end, history)


def planned_labels(config: CampaignConfig) -> int:
    """Return how many labels a campaign wants at most."""
    wanted = config.perturb.n + config.rounds * (config.select.n + config.evaluate.n)
    most = config.budget.labels
    return wanted if most is None else min(wanted, most)


def read_cost(
    usage: Sequence[UsageRow], labels: Labels, judged: Mapping[str, Judgement]
) -> Cost:
    """Return what was spent, and per meV/Å gained."""
    core = sum(row.core_s for row in usage) / 3600.0
    gain = 0.0
    if {ZERO_SHOT, FIRE} <= judged.keys():
        before, after = (judged[k].test.force_rmse for k in (ZERO_SHOT, FIRE))
        gain = before - after
    return Cost(
        core=core,
        gpu=sum(row.gpu_s for row in usage) / 3600.0,
        labels=sum(s for _, s in labels.history) / 3600.0,
        per_gain=core / gain if gain > 0 else None,
    )


def read_rounds(store: Store, name: str, last: int) -> list[RoundUncertainty]:
    """Return what uncertainty said of each round; empty where it did not lead."""
    kept = store.evaluations
    rows = [
        RoundUncertainty(
            number,
            kept.get(CANDIDATES, name, round_=number),
            kept.get(NEW_LABELS, name, round_=number),
        )
        for number in range(1, last + 1)
    ]
    return [row for row in rows if row.candidates or row.new_labels]
