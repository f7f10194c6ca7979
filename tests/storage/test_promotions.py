"""Promotion through gates only, history that adds up, rollback, migration 0002."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect

from fire_core.config.open_sets import GATES
from fire_core.errors import BlobCorruptedError, GateError, StoreError
from fire_core.records import GateResult
from fire_core.storage.engine import migrate
from fire_core.storage.promotions import Signature
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

PASSED = [GateResult(g, True, 1.0, 2.0, "eV", f"{g} 1 eV, ≤ 2") for g in GATES.builtin]


@pytest.fixture
def models(store: Store) -> Store:
    """A store with a campaign and three candidates."""
    store.campaigns.open("c", "{}")
    for name in ("a", "b", "d"):
        sha = store.blobs.put_bytes(name.encode())
        store.models.add("c", name, sha, parent_sha=None, config_json="{}")
    return store


def states(store: Store) -> dict[str, str]:
    return {m.name: m.state for m in store.models.list("c")}


def deploy(store: Store, *names: str) -> None:
    for name in names:
        store.models.promote("c", name, "production", PASSED, signed=Signature("me"))


def test_a_model_goes_to_staging_then_production(models: Store) -> None:
    models.models.promote("c", "a", "staging", PASSED, signed=Signature("me", "good"))
    deploy(models, "a")
    assert states(models) == {"a": "production", "b": "candidate", "d": "candidate"}
    first, second = models.models.promotions("c")
    assert (first.from_state, first.to_state) == ("candidate", "staging")
    assert (first.actor, first.reason, first.action) == ("me", "good", "promote")
    assert (second.from_state, second.to_state) == ("staging", "production")
    assert second.gates_json is not None
    kept = json.loads(second.gates_json)
    assert [k["name"] for k in kept] == list(GATES.builtin)
    assert kept[0]["text"] == "energy_error 1 eV, ≤ 2"


def test_failed_and_missing_gates_are_listed_and_nothing_changes(models: Store) -> None:
    bad = GateResult("forgetting", False, 1.31, 1.1, "×", "factor 1.31, above 1.1")
    few = [r for r in PASSED if r.name not in {"forgetting", "dimers"}]
    with pytest.raises(
        GateError,
        match=r"2 of 10 required(.|\n)*- dimers: not measured\n"
        r"  - forgetting: factor 1.31, above 1.1",
    ):
        models.models.promote("c", "a", "production", [*few, bad])
    assert states(models)["a"] == "candidate"
    assert models.models.promotions("c") == []
    needed = [g for g in GATES.builtin if g not in {"forgetting", "dimers"}]
    models.models.promote("c", "a", "staging", [*few, bad], required=needed)
    assert states(models)["a"] == "staging"


def test_two_results_for_one_gate_are_refused(models: Store) -> None:
    with pytest.raises(GateError, match=r"more than one result for the gate.*dimers"):
        models.models.promote("c", "a", "staging", [*PASSED, PASSED[6]])


def test_production_holds_one_model(models: Store) -> None:
    deploy(models, "a", "b")
    assert states(models) == {"a": "retired", "b": "production", "d": "candidate"}
    retired = next(r for r in models.models.promotions("c") if r.action == "retire")
    assert (retired.model, retired.to_state) == ("a", "retired")
    assert retired.reason == "b took its place"


def test_ways_that_are_none_are_refused(models: Store) -> None:
    deploy(models, "a")
    with pytest.raises(StoreError, match=r"is in production.*fire model rollback c"):
        models.models.promote("c", "a", "staging", PASSED)
    with pytest.raises(StoreError, match="'a' of 'c' is in production"):
        deploy(models, "a")
    with pytest.raises(StoreError, match="to staging or production, got 'retired'"):
        models.models.promote("c", "a", "retired", PASSED)
    with pytest.raises(StoreError, match="has no model 'x'"):
        deploy(models, "x")


def test_rollback_goes_back_one_by_one(models: Store) -> None:
    deploy(models, "a", "b", "d")
    assert models.models.rollback("c", signed=Signature("me", "melts")) == "b"
    assert states(models) == {"a": "retired", "b": "production", "d": "retired"}
    assert models.models.rollback("c") == "a"
    with pytest.raises(StoreError, match="nothing was in production before 'a'"):
        models.models.rollback("c")
    assert states(models) == {"a": "production", "b": "retired", "d": "retired"}
    rolled = [r for r in models.models.promotions("c") if r.action == "rollback"]
    assert [(r.model, r.to_state) for r in rolled] == [
        *(("d", "retired"), ("b", "production")),
        *(("b", "retired"), ("a", "production")),
    ]
    assert rolled[0].reason == "melts"


def test_a_model_promoted_again_is_rolled_back_to_what_it_replaced(
    models: Store,
) -> None:
    deploy(models, "a", "b", "a")
    assert models.models.rollback("c") == "b"
    assert models.models.rollback("c") == "a"
    deploy(models, "d")
    assert models.models.rollback("c") == "a"


def test_rollback_without_production_is_refused(models: Store) -> None:
    with pytest.raises(StoreError, match="has no model in production to roll back"):
        models.models.rollback("c")


def test_a_damaged_file_is_neither_promoted_nor_rolled_back_to(models: Store) -> None:
    deploy(models, "a", "b")
    models.blobs.path(models.models.need("c", "a").blob_sha).write_bytes(b"x")
    before = models.models.promotions("c")
    with pytest.raises(BlobCorruptedError, match="is corrupted"):
        models.models.rollback("c")
    with pytest.raises(BlobCorruptedError, match="is corrupted"):
        deploy(models, "a")
    assert states(models)["b"] == "production"
    assert models.models.promotions("c") == before


def test_promotions_at_once_leave_one_model_in_production(
    models: Store, url: str, tmp_path: Path
) -> None:
    def promote(name: str) -> None:
        with Store.open(url, tmp_path / "blobs") as own:
            deploy(own, name)

    threads = [threading.Thread(target=promote, args=(n,)) for n in ("a", "b", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(models).values()) == ["production", "retired", "retired"]
    last = models.models.rollback("c")
    assert states(models)[last] == "production"


def test_migration_0002_keeps_models_and_enters_what_is_in_production(
    models: Store,
) -> None:
    deploy(models, "a")
    migrate(models.engine, "0001")
    assert "promotion" not in inspect(models.engine).get_table_names()
    assert states(models) == {"a": "production", "b": "candidate", "d": "candidate"}
    migrate(models.engine)
    (entered,) = models.models.promotions("c")
    assert (entered.model, entered.to_state) == ("a", "production")
    assert entered.reason == "was in production before there was a history"
    deploy(models, "b")
    assert models.models.rollback("c") == "a"
