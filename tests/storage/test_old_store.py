"""A store of before opens with everything that was in it, and goes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from fire_core.records import LabelState
from fire_core.storage.copying import copy_store
from fire_core.storage.engine import migrate
from fire_core.storage.evaluation_kinds import json_kind
from fire_core.storage.selections import LabelScope
from fire_core.storage.store import Store
from tests.storage.old_store import OldStore, unpack_old_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = "SELECT campaign, model, dataset, result_json FROM evaluation"
KINDS = {
    "finished": {
        "judgement", "gates", "decision", "candidate_uncertainty",
        "label_uncertainty", "regression",
    },
    "stopped": set(),
    "study-tiny": {
        "study_plan", "study_cell", "study_failure", "study_space", "study_baseline",
    },
}  # fmt: skip
"""Kinds of evaluations in the store, by campaign."""


@pytest.fixture
def old(tmp_path: Path) -> OldStore:
    return unpack_old_store(tmp_path / "old")


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(old: OldStore, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store, migrated; in PostgreSQL after it was copied there."""
    url = old.url
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
        copy_store(old.url, url)
    with Store.open(url, old.blobs) as store:
        yield store


def test_no_row_and_no_blob_is_lost(old: OldStore) -> None:
    before = old.count()
    assert old.rows("SELECT version_num FROM alembic_version") == [("0006",)]
    with Store.open(old.url, old.blobs) as store:
        assert old.count() == before
        for name in KINDS:
            for model in store.models.list(name):
                store.blobs.path(model.blob_sha)  # verifies it
        keys = store.labels.labelled_keys(store.theories.list()[0][0])
        assert len(store.structures.get(keys)) == len(keys)


def test_evaluations_are_found_by_their_keys(old: OldStore, tmp_path: Path) -> None:
    before = {tuple(row[:3]): row[3] for row in old.rows(OLD)}
    with Store.open(old.url, old.blobs) as store:
        found = store.evaluations
        for name, kinds in KINDS.items():
            for kind in kinds:
                assert name in found.campaigns(json_kind(kind)), kind
        assert found.campaigns(json_kind("unknown")) == set()
        judged = {
            (row.round, row.subject)
            for row in found.list(json_kind("judgement"), "finished")
        }
        kinds = {"zero_shot", "pre_fine_tuned", "vanilla", "fire"}
        assert judged == {(2, kind) for kind in kinds}
        fire = found.get(json_kind("judgement"), "finished", round_=2, subject="fire")
        assert fire == json.loads(str(before["finished", "fire", "test-2"]))
        (doubt,) = found.list(json_kind("regression"), "finished")
        model, _, day = doubt.subject.partition("/")
        key = ("finished", model, f"regression-{day}")
        assert doubt.value == json.loads(str(before[key]))
        for cell in found.list(json_kind("study_cell"), "study-tiny"):
            key = ("study-tiny", cell.subject, "test")
            assert cell.value == json.loads(str(before[key]))
    bodies = old.rows("SELECT body_json FROM evaluation")
    assert sorted(str(b) for (b,) in bodies) == sorted(map(str, before.values()))
    assert not (tmp_path / "elsewhere").exists()


def test_campaigns_have_their_identities(opened: Store) -> None:
    for name in ("finished", "stopped"):
        row = opened.campaigns.get(name)
        assert row is not None
        # what a level is made of only the configuration says; see `find_theory`
        assert (row.theory, row.atom_theory) == (None, None)
        first = opened.models.list(name)[0]
        assert row.foundation_sha == first.parent_sha
    study = opened.campaigns.get("study-tiny")
    assert study is not None
    assert study.theory is None


def test_the_stopped_one_stands_where_it_stood(opened: Store) -> None:
    level = opened.theories.list()[0][0]
    counts = opened.labels.counts(level, LabelScope("stopped", 1, "selected"))
    assert counts == {
        LabelState.DONE: 2, LabelState.CLAIMED: 1, LabelState.WANTED: 1,
    }  # fmt: skip
    assert [m.name for m in opened.models.list("stopped")] == ["pre_fine_tuned"]


def test_it_goes_back_to_what_it_was_and_up_again(old: OldStore, opened: Store) -> None:
    kinds = "SELECT campaign, kind, round, subject, body_json FROM evaluation"
    rows = "SELECT name, theory, atom_theory, foundation_sha FROM campaign"

    def read(query: str) -> list[tuple[object, ...]]:
        with opened.engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(query))]
        return sorted(found, key=repr)

    now, identities = read(kinds), read(rows)
    fresh = unpack_old_store(old.folder / "again")
    migrate(opened.engine, "0006")
    assert read(OLD) == sorted(fresh.rows(OLD), key=repr)
    migrate(opened.engine)
    assert read(kinds) == now
    assert read(rows) == identities
