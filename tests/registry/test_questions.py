"""What asks about a campaign only reads, beside whoever writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from fire_core.campaign.campaign import Campaign
from fire_core.campaign.views.campaign import read_labels, read_rounds
from fire_core.campaign.views.models import read_models
from fire_core.campaign.views.overview import read_lines, unfinished_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.campaign.reference import CampaignRef

QUESTIONS: dict[str, Callable[[Campaign], object]] = {
    "is_chosen": lambda c: c.is_chosen(1, "test"),
    "is_labelled": lambda c: c.is_labelled(1, "test"),
    "is_trained": lambda c: c.is_trained(1, ["fire"]),
    "labelled": lambda c: len(c.labelled(1, "test")) == 4,
    "theory": lambda c: c.theory() and c.theory_level().code == "teacher/mace-torch",
    "last_judged_round": lambda c: c.last_judged_round() is None,
    "known_gates": lambda c: c.known_gates("fire") == [],
    "summary": lambda c: c.round(1).summary().round == 1,
    "lines": lambda c: read_lines(c.store, c.store.campaigns.list()),
    "unfinished": lambda c: unfinished_campaigns(c.store) == [c.name],
    "models": lambda c: read_models(c.store, c.name, ["fire", "good"]),
    "labels": lambda c: read_labels(c.store, c.name, c.config),
    "rounds": lambda c: read_rounds(c.store, c.name, 1) == [],
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_takes_no_lock_to_write(
    ref: CampaignRef, question: Callable[[Campaign], object]
) -> None:
    seen: set[str] = set()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            seen.add(statement)

    with Campaign.find(ref) as campaign:
        event.listen(campaign.store.engine, "before_cursor_execute", note)
        assert question(campaign)
    assert seen == {"BEGIN"}  # a writer's would be BEGIN IMMEDIATE
