"""What the verbs of a round need to be there first, for those who call them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.campaign.names import (
    ATOMS,
    COMMITTEE,
    EXPLORE,
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    SELECTED,
    TEST,
    VANILLA,
    member_number,
)
from fire_core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection

    from fire_core.campaign.names import RunPlan
    from fire_core.campaign.state import CampaignState


def check_round(campaign: CampaignState, number: int) -> None:
    """Raise ConfigError unless a campaign has a round of that number."""
    most = campaign.config.rounds
    if not isinstance(number, int) or not 0 <= number <= most:
        msg = (
            f"expected a round from 0 to {most}, got {number!r}; `rounds` in the "
            "campaign file says how many there are"
        )
        raise ConfigError(msg)


def check_word(what: str, given: str, allowed: Collection[str]) -> None:
    """Raise ConfigError unless a word is one of those that are allowed."""
    if given not in allowed:
        msg = f"expected {what} to be one of {', '.join(allowed)}, got {given!r}"
        raise ConfigError(msg)


def check_choice(number: int, purpose: str) -> None:
    """Raise ConfigError unless a round makes such a choice of structures."""
    check_word(
        f"what round {number} labels",
        purpose,
        (SELECTED, TEST) if number else (PERTURB, ATOMS),
    )


def check_run(number: int, purpose: str) -> None:
    """Raise ConfigError unless a round has such a run."""
    check_word("a run", purpose, (EXPLORE, TEST))
    if number == 0:
        msg = "round 0 runs no dynamics; it has `label` and `pre_fine_tune`"
        raise ConfigError(msg)


def check_training(campaign: CampaignState, number: int, kind: str) -> None:
    """Refuse to train what a round does not, or before its labels are settled.

    A model is trained once: what it was not given then it never learns.

    Raises
    ------
    ConfigError
        The round trains no such kind of model.
    StoreError
        Labels that it learns from are missing.
    """
    if member_number(kind) is None:
        kinds = (FIRE, VANILLA) if number else (PRE_FINE_TUNED,)
        check_word(f"a model of round {number}", kind, kinds)
    elif number == 0:
        msg = f"round 0 trains {PRE_FINE_TUNED} alone, no {COMMITTEE}"
        raise ConfigError(msg)
    for earlier in range(number + 1):
        purpose = SELECTED if earlier else PERTURB
        if not campaign.is_labelled(earlier, purpose):
            first = "" if campaign.is_chosen(earlier, purpose) else "chosen and "
            msg = (
                f"{kind} of round {number} learns from the labels of {purpose!r} of "
                f"round {earlier}, which are not all {first}settled; call "
                f"`round({earlier}).label({purpose!r})` first"
            )
            raise StoreError(msg)


def check_frames(campaign: CampaignState, plan: RunPlan) -> None:
    """Raise StoreError unless a run has frames to choose from."""
    if campaign.store.runs.count_frames(plan.run_id) == 0:
        msg = (
            f"the run {plan.purpose!r} of round {plan.round} has no frames to choose "
            f"from; call `round({plan.round}).explore({plan.purpose!r})` first"
        )
        raise StoreError(msg)


def check_test(campaign: CampaignState, number: int) -> None:
    """Raise StoreError unless the test set of a round has its labels."""
    if not campaign.is_labelled(number, TEST):
        msg = (
            f"models of round {number} are judged on its labelled test set, which is "
            f"not there yet; call `explore`, `select` and `label` with {TEST!r} first"
        )
        raise StoreError(msg)
