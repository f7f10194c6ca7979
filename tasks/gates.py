"""Hold a campaign's models against their gates; promote those that pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect import task

from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.registry import load_configured
from fire_core.campaign import GATES, START, sub_seed
from fire_core.errors import BackboneError, StoreError
from fire_core.evaluation.gates.gate import GateData
from fire_core.evaluation.gates.run import run_gates, sort_results
from fire_core.reading.gates import gates_basis, test_keys
from fire_core.reading.gates import known_gates as gates_of
from fire_core.records import GateResult
from tasks.context import CampaignRef, count_usage, open_campaign
from tasks.label import chosen_keys, theory_fingerprint
from tasks.replay import read_replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.promotions import Signature
    from fire_core.storage.store import Store


@task(name="check-gates", task_run_name="check-{name}")
def check_gates(
    ref: CampaignRef,
    name: str,
    *,
    again: bool = False,
    say: Callable[[str], None] | None = None,
) -> list[GateResult]:
    """Return a model's results at the required gates, measured where not known.

    Known results hold for the same model file, limits and test structures.

    Parameters
    ----------
    ref
        The campaign.
    name
        The model.
    again
        Measure all of them, known or not.
    say
        Hears what is being measured.
    """
    with open_campaign(ref) as (store, config):
        model = store.need_model(ref.name, name)
        theory = theory_fingerprint(store, config)
        basis = gates_basis(store, config, theory, model.blob_sha)
        results = [] if again else gates_of(store, config, theory, name)
        known = {result.name for result in results}
        missing = [g for g in config.evaluate.gates.required if g not in known]
        if missing:
            with count_usage(
                store, ref, config.rounds, GATES, cores=config.threads or 2
            ):
                backbone, data = _prepare(store, config, ref, name)
                results += run_gates(
                    backbone,
                    data,
                    config.evaluate,
                    gates=missing,
                    say=say or (lambda _: None),
                )
            kept = {"basis": basis, "results": [asdict(r) for r in results]}
            store.save_evaluation(ref.name, name, GATES, json.dumps(kept))
    return sort_results(results)


def known_gates(ref: CampaignRef, name: str) -> list[GateResult]:
    """Return the results that hold for a model as it is; empty before a check."""
    with open_campaign(ref) as (store, config):
        store.need_model(ref.name, name)
        return gates_of(store, config, theory_fingerprint(store, config), name)


def required_gates(ref: CampaignRef) -> tuple[str, ...]:
    """Return the gates that a campaign requires for a promotion."""
    with open_campaign(ref) as (_, config):
        return config.evaluate.gates.required


def promote(
    ref: CampaignRef,
    name: str,
    to: str,
    results: Sequence[GateResult],
    signed: Signature,
) -> None:
    """Promote a model through the gates that its campaign requires."""
    with open_campaign(ref) as (store, config):
        store.promote_model(
            ref.name,
            name,
            to,
            results,
            required=config.evaluate.gates.required,
            signed=signed,
        )


def _prepare(
    store: Store, config: CampaignConfig, ref: CampaignRef, name: str
) -> tuple[MaceBackbone, GateData]:
    theory = theory_fingerprint(store, config)
    test = store.get_labelled(test_keys(store, config), theory)
    if not test:
        msg = (
            f"no test structure of campaign {ref.name!r} has a finished label; see "
            "`fire label failures`, then `fire campaign run FILE` again"
        )
        raise StoreError(msg)
    model = store.need_model(ref.name, name)
    backbone = _load(config, str(store.blobs.path(model.blob_sha)))
    parent = _load(config, config.backbone.name)
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
        heldout=read_replay(store, config.fine_tune.replay, parent).data.heldout,
        parent=parent,
        start=store.get_structures(chosen_keys(store, ref, 0, START))[0],
        temperature=max(part.hottest for part in dynamics),
        seed=sub_seed(config, GATES),
    )
    return backbone, data


def _load(config: CampaignConfig, name: str) -> MaceBackbone:
    backbone = load_configured(config.backbone, config.threads, name)
    if not isinstance(backbone, MaceBackbone):
        msg = f"expected a MACE model, got {name}, which is none"
        raise BackboneError(msg)
    return backbone
