"""A campaign's models before its gates: kept results, promotion, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.errors import GateError, StoreError
from fire_core.records import Gate
from fire_core.storage.promotions import Signature
from fire_core.storage.store import Store
from tasks.gates import check_gates, known_gates, promote
from tests.registry.conftest import change_gates

if TYPE_CHECKING:
    from tasks.context import CampaignRef


def test_a_perfect_model_passes_and_is_promoted(ref: CampaignRef) -> None:
    assert known_gates(ref, "fire") == []
    results = check_gates.fn(ref, "fire")
    assert [r.name for r in results] == list(Gate)
    assert [r.name for r in results if not r.passed] == []
    assert {r.name: r.value for r in results}[Gate.FORGETTING] == 1.0
    promote(ref, "fire", "production", results, Signature("me"))
    with Store.open(ref.db, ref.blobs) as store:
        assert store.models.need(ref.name, "fire").state == "production"
        assert [u.step for u in store.usage.list(ref.name)] == ["gates"]
    assert known_gates(ref, "fire") == results


def test_known_results_hold_until_limits_change(ref: CampaignRef) -> None:
    change_gates(ref, required=["dimers", "reload"])
    heard: list[str] = []
    first = check_gates.fn(ref, "fire", say=heard.append)
    assert [r.name for r in first] == [Gate.DIMERS, Gate.RELOAD]  # required, no more
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
    assert (results[Gate.DIMERS].passed, results[Gate.DIMERS].limit) == (False, 50)


def test_a_wild_model_is_refused_for_what_it_does(ref: CampaignRef) -> None:
    results = check_gates.fn(ref, "wild")
    failed = {r.name for r in results if not r.passed}
    assert failed >= {Gate.FORCE_ERROR, Gate.FORGETTING, Gate.BULK_MODULUS, Gate.DIMERS}
    assert Gate.RELOAD not in failed
    with pytest.raises(
        GateError,
        match=r"'wild' is not promoted to staging(.|\n)*- dimers: .*attracts",
    ):
        promote(ref, "wild", "staging", results, Signature("me"))
    with Store.open(ref.db, ref.blobs) as store:
        assert store.models.need(ref.name, "wild").state == "candidate"


def test_a_model_of_another_parent_is_not_compared_with_this_one(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        sha = store.models.need(ref.name, "fire").blob_sha
        store.models.add(ref.name, "other", sha, parent_sha="f" * 64, config_json="{}")
    with pytest.raises(StoreError, match="'other' was fine-tuned from a model of sha"):
        check_gates.fn(ref, "other")


def test_a_stored_configuration_of_another_version_is_explained(
    ref: CampaignRef,
) -> None:
    with Store.open(ref.db, ref.blobs) as store:
        store.campaigns.open("old", '{"name": "old", "reference": "refit"}')
    with pytest.raises(StoreError, match=r"started by another FIRE.*reference"):
        check_gates.fn(ref.model_copy(update={"name": "old"}), "fire")
