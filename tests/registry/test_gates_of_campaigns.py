"""A campaign's models before its gates: kept results, promotion, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.config.open_sets import GATES
from fire_core.errors import GateError, StoreError
from fire_core.storage.promotions import Signature
from fire_core.storage.store import Store
from tasks.gates import check_gates, known_gates, promote
from tests.registry.conftest import change_gates

if TYPE_CHECKING:
    from tasks.context import CampaignRef


def test_a_perfect_model_passes_and_is_promoted(ref: CampaignRef) -> None:
    assert known_gates(ref, "fire") == []
    results = check_gates.fn(ref, "fire")
    assert [r.name for r in results] == GATES.names()
    assert [r.name for r in results if not r.passed] == []
    assert {r.name: r.value for r in results}["forgetting"] == 1.0
    promote(ref, "fire", "production", results, Signature("me"))
    with Store.open(ref.db, ref.blobs) as store:
        assert store.need_model(ref.name, "fire").state == "production"
        assert [u.step for u in store.get_usage(ref.name)] == ["gates"]
    assert known_gates(ref, "fire") == results


def test_known_results_hold_until_limits_change(ref: CampaignRef) -> None:
    change_gates(ref, required=["dimers", "reload"])
    heard: list[str] = []
    first = check_gates.fn(ref, "fire", say=heard.append)
    assert [r.name for r in first] == ["dimers", "reload"]  # required, no more
    assert len(heard) == 2
    assert check_gates.fn(ref, "fire", say=heard.append) == first
    assert len(heard) == 2
    change_gates(ref, required=["dimers", "reload", "shear"])
    assert len(check_gates.fn(ref, "fire", say=heard.append)) == 3
    assert len(heard) == 3  # one more gate, and only that one measured
    change_gates(ref, dimers={"wall": 50.0})
    assert known_gates(ref, "fire") == []
    results = {r.name: r for r in check_gates.fn(ref, "fire", say=heard.append)}
    assert len(heard) == 6
    assert (results["dimers"].passed, results["dimers"].limit) == (False, 50)


def test_a_wild_model_is_refused_for_what_it_does(ref: CampaignRef) -> None:
    results = check_gates.fn(ref, "wild")
    failed = {r.name for r in results if not r.passed}
    assert failed >= {"force_error", "forgetting", "bulk_modulus", "dimers"}
    assert "reload" not in failed
    with pytest.raises(
        GateError,
        match=r"'wild' is not promoted to staging(.|\n)*- dimers: .*attracts",
    ):
        promote(ref, "wild", "staging", results, Signature("me"))
    with Store.open(ref.db, ref.blobs) as store:
        assert store.need_model(ref.name, "wild").state == "candidate"


def test_a_model_of_another_parent_is_not_compared_with_this_one(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        sha = store.need_model(ref.name, "fire").blob_sha
        store.add_model(ref.name, "other", sha, parent_sha="f" * 64, config_json="{}")
    with pytest.raises(StoreError, match="'other' was fine-tuned from a model of sha"):
        check_gates.fn(ref, "other")


def test_a_stored_configuration_of_another_version_is_explained(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        store.open_campaign("old", '{"name": "old", "reference": "refit"}')
    with pytest.raises(StoreError, match=r"started by another FIRE.*reference"):
        check_gates.fn(ref.model_copy(update={"name": "old"}), "fire")
