"""Which gate results hold for a model as it is now."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from fire_core.campaign import GATES, TEST, sub_seed
from fire_core.errors import StoreError
from fire_core.records import GateResult

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.store import Store


def known_gates(
    store: Store, config: CampaignConfig, theory: str, name: str
) -> list[GateResult]:
    """Return the results that hold for a model; empty before a check.

    Parameters
    ----------
    store
        Where the campaign is.
    config
        Of the campaign.
    theory
        Fingerprint of its theory level.
    name
        The model.
    """
    row = store.get_evaluation(config.name, name, GATES)
    if row is None:
        return []
    kept = json.loads(row.result_json)
    sha = store.need_model(config.name, name).blob_sha
    if kept.get("basis") != gates_basis(store, config, theory, sha):
        return []
    return [GateResult(**entry) for entry in kept["results"]]


def gates_basis(
    store: Store, config: CampaignConfig, theory: str, model_sha: str
) -> str:
    """Return a digest of all that gate results depend on."""
    limits = config.evaluate.gates.model_dump(mode="json", exclude={"required"})
    parts = [
        model_sha,
        limits,
        config.evaluate.stability.model_dump(mode="json"),
        test_keys(store, config),
        theory,
        sub_seed(config, GATES),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def test_keys(store: Store, config: CampaignConfig) -> list[str]:
    """Return the structures of the last independent trajectory that is labelled.

    Raises
    ------
    StoreError
        The campaign has not come so far.
    """
    for round_ in range(config.rounds, 0, -1):
        row = store.get_selection(config.name, round_, TEST)
        if row is not None:
            return list(row.keys)
    msg = (
        f"campaign {config.name!r} has no test structures yet: its gates need the "
        "labelled independent trajectory; finish it with `fire campaign run FILE`"
    )
    raise StoreError(msg)
