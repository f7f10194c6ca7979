"""Check a campaign's models against their gates; promote those that pass."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from fire_core.campaign.kinds import GATE_RECORD, GateRecord
from fire_core.campaign.names import GATES_STEP
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.replay import held_out
from fire_core.campaign.usage import count_usage
from fire_core.errors import StoreError
from fire_core.evaluation.gates.gate import GateData
from fire_core.evaluation.gates.run import run_gates, sort_results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.state import CampaignState
    from fire_core.records import GateResult
    from fire_core.storage.promotions import Signature


@where_backbone_lives
def check_gates(
    campaign: CampaignState,
    name: str,
    *,
    again: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[GateResult]:
    """Return a model's results at the required gates, measured where not known.

    Known results hold for the same model file, limits and test structures.

    Parameters
    ----------
    campaign, name
        Which model of which campaign.
    again
        Measure all of them, known or not.
    say
        Called with what is being measured.
    """
    config = campaign.config
    results = [] if again else known_gates(campaign, name)
    known = {result.name for result in results}
    missing = [g for g in config.evaluate.gates.required if g not in known]
    if missing:
        basis = gates_basis(campaign, name)
        cores = config.threads or 2
        with count_usage(campaign, config.rounds, GATES_STEP, cores=cores):
            backbone, data = _prepare(campaign, name)
            results += run_gates(
                backbone, data, config.evaluate, gates=missing, say=say
            )
        record = GateRecord(basis, tuple(results))
        campaign.store.evaluations.save(
            GATE_RECORD, campaign.name, record, subject=name
        )
    return sort_results(results)


def known_gates(campaign: CampaignState, name: str) -> list[GateResult]:
    """Return the results that hold for a model as it is; empty before a check."""
    campaign.store.models.need(campaign.name, name)
    kept = campaign.store.evaluations.get(GATE_RECORD, campaign.name, subject=name)
    if kept is None or kept.basis != gates_basis(campaign, name):
        return []
    return list(kept.results)


def gates_basis(campaign: CampaignState, name: str) -> str:
    """Return a digest of all that a model's gate results depend on."""
    evaluate = campaign.config.evaluate
    left_out = {"required"}
    if not evaluate.gates.others:
        left_out.add("others")  # results of before there were others still hold
    parts = [
        campaign.store.models.need(campaign.name, name).blob_sha,
        evaluate.gates.model_dump(mode="json", exclude=left_out),
        evaluate.stability.model_dump(mode="json"),
        campaign.test_keys(),
        campaign.theory(),
        campaign.seed(GATES_STEP),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def promote(
    campaign: CampaignState,
    name: str,
    to: str,
    results: Sequence[GateResult],
    signed: Signature,
) -> None:
    """Promote a model through the gates that its campaign requires."""
    campaign.store.models.promote(
        campaign.name,
        name,
        to,
        results,
        required=campaign.config.evaluate.gates.required,
        signed=signed,
    )


def _prepare(campaign: CampaignState, name: str) -> tuple[Backbone, GateData]:
    store, config = campaign.store, campaign.config
    test = store.labels.labelled(campaign.test_keys(), campaign.theory())
    if not test:
        msg = (
            f"no test structure of campaign {campaign.name!r} has a finished label; "
            "see `fire label failures`, then `fire campaign run FILE` again"
        )
        raise StoreError(msg)
    model = store.models.need(campaign.name, name)
    backbone, parent = campaign.load(name), campaign.load(None)
    if model.parent_sha not in {None, parent.sha256}:
        msg = (
            f"{name!r} was fine-tuned from a model of sha256 {model.parent_sha}, but "
            f"backbone.name {config.backbone.name!r} is {parent.sha256} now; put the "
            "old file back, or give its path as backbone.name"
        )
        raise StoreError(msg)
    dynamics = (config.explore, config.evaluate.dynamics)
    data = GateData(
        test=test,
        heldout=held_out(campaign, parent),
        parent=parent,
        start=campaign.start()[0],
        temperature=max(part.hottest for part in dynamics),
        seed=campaign.seed(GATES_STEP),
    )
    return backbone, data
