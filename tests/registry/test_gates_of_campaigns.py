"""A campaign's models before its gates: kept results, promotion, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fire_core.campaign.campaign import Campaign
from fire_core.config.open_sets import GATES
from fire_core.errors import GateError, StoreError
from fire_core.storage.promotions import Signature
from fire_core.storage.store import Store
from tests.registry.conftest import change_gates

if TYPE_CHECKING:
    from fire_core.campaign.reference import CampaignRef
    from fire_core.records import GateResult


def check_gates(ref: CampaignRef, name: str, **how: Any) -> list[GateResult]:
    with Campaign.find(ref) as campaign:
        return campaign.check_gates(name, **how)


def known_gates(ref: CampaignRef, name: str) -> list[GateResult]:
    with Campaign.find(ref) as campaign:
        return campaign.known_gates(name)


def promote(ref: CampaignRef, name: str, to: str, results: list[GateResult]) -> None:
    with Campaign.find(ref) as campaign:
        campaign.promote(name, to, results, Signature("me"))


def test_a_perfect_model_passes_and_is_promoted(ref: CampaignRef) -> None:
    assert known_gates(ref, "fire") == []
    results = check_gates(ref, "fire")
    assert [r.name for r in results] == GATES.names()
    assert [r.name for r in results if not r.passed] == []
    assert {r.name: r.value for r in results}["forgetting"] == 1.0
    promote(ref, "fire", "production", results)
    with Store.open(ref.db, ref.blobs) as store:
        assert store.models.need(ref.name, "fire").state == "production"
        assert [u.step for u in store.usage.list(ref.name)] == ["gates"]
    assert known_gates(ref, "fire") == results


def test_known_results_hold_until_limits_change(ref: CampaignRef) -> None:
    change_gates(ref, required=["dimers", "reload"])
    heard: list[str] = []
    first = check_gates(ref, "fire", say=heard.append)
    assert [r.name for r in first] == ["dimers", "reload"]  # required, no more
    assert len(heard) == 2
    assert check_gates(ref, "fire", say=heard.append) == first
    assert len(heard) == 2
    change_gates(ref, required=["dimers", "reload", "shear"])
    assert len(check_gates(ref, "fire", say=heard.append)) == 3
    assert len(heard) == 3  # one more gate, and only that one measured
    change_gates(ref, dimers={"wall": 50.0})
    assert known_gates(ref, "fire") == []
    results = {r.name: r for r in check_gates(ref, "fire", say=heard.append)}
    assert len(heard) == 6
    assert (results["dimers"].passed, results["dimers"].limit) == (False, 50)


def test_a_wild_model_is_refused_for_what_it_does(ref: CampaignRef) -> None:
    results = check_gates(ref, "wild")
    failed = {r.name for r in results if not r.passed}
    assert failed >= {"force_error", "forgetting", "bulk_modulus", "dimers"}
    assert "reload" not in failed
    with pytest.raises(
        GateError,
        match=r"'wild' is not promoted to staging(.|\n)*- dimers: .*attracts",
    ):
        promote(ref, "wild", "staging", results)
    with Store.open(ref.db, ref.blobs) as store:
        assert store.models.need(ref.name, "wild").state == "candidate"


def test_a_model_of_another_parent_is_not_compared_with_this_one(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        sha = store.models.need(ref.name, "fire").blob_sha
        store.models.add(ref.name, "other", sha, parent_sha="f" * 64, config_json="{}")
    with pytest.raises(StoreError, match="'other' was fine-tuned from a model of sha"):
        check_gates(ref, "other")


def test_a_stored_configuration_of_another_version_is_explained(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        store.campaigns.open("old", '{"name": "old", "reference": "refit"}')
    with pytest.raises(StoreError, match=r"started by another FIRE.*reference"):
        check_gates(ref.model_copy(update={"name": "old"}), "fire")
