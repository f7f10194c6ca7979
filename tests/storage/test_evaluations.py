"""Evaluations: typed records found by key, and those of before brought along."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, text

from fire_core.errors import StoreError
from fire_core.records import ErrorSummary
from fire_core.storage.engine import migrate
from fire_core.storage.evaluation_kinds import dataclass_kind, json_kind
from fire_core.storage.evaluations import Evaluated
from fire_core.storage.tables import EvaluationTable

if TYPE_CHECKING:
    from fire_core.storage.store import Store


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    test: ErrorSummary
    curve: tuple[float, ...]
    drift: float | None
    limits: dict[str, float] = field(default_factory=dict)


KIND = dataclass_kind("judgement", Judgement)
NOTE = json_kind("note")


def judgement(rmse: float = 0.1 + 0.2) -> Judgement:
    errors = ErrorSummary(4, 32, rmse, 1.0, 60.0, 40.0, 200.0, None, {"Li": 30.0})
    return Judgement(Verdict.GOOD, errors, (1.0, math.inf), None, {"energy": 2.0})


@pytest.fixture
def campaign(store: Store) -> Store:
    store.campaigns.open("c", "{}")
    return store


def put(store: Store, body: str, *, version: int = 1, kind: str = "judgement") -> None:
    row = {"campaign": "c", "kind": kind, "round": 1, "subject": "fire"}
    with store.engine.begin() as connection:
        values = row | {"version": version, "body_json": body}
        connection.execute(insert(EvaluationTable).values(values))


def test_a_record_comes_back_as_it_was(campaign: Store) -> None:
    kept = campaign.evaluations
    assert kept.get(KIND, "c", round_=1, subject="fire") is None
    kept.save(KIND, "c", judgement(), round_=1, subject="fire")
    assert kept.get(KIND, "c", round_=1, subject="fire") == judgement()
    assert kept.get(KIND, "c", round_=2, subject="fire") is None
    assert kept.get(KIND, "c", round_=1, subject="vanilla") is None
    assert kept.get(NOTE, "c", round_=1, subject="fire") is None


def test_saving_again_replaces_and_a_list_is_in_order(campaign: Store) -> None:
    kept = campaign.evaluations
    for round_, subject, rmse in ((2, "fire", 1.0), (1, "b", 2.0), (1, "a", 3.0)):
        kept.save(KIND, "c", judgement(rmse), round_=round_, subject=subject)
    kept.save(KIND, "c", judgement(9.0), round_=1, subject="b")
    kept.save(NOTE, "c", {"reason": "enough"})
    expected = [
        Evaluated(1, "a", judgement(3.0)),
        Evaluated(1, "b", judgement(9.0)),
        Evaluated(2, "fire", judgement(1.0)),
    ]
    assert kept.list(KIND, "c") == expected
    assert kept.list(KIND, "c", round_=1) == expected[:2]
    assert kept.list(NOTE, "c") == [Evaluated(0, "", {"reason": "enough"})]
    assert kept.list(NOTE, "other") == []
    assert kept.campaigns(NOTE) == {"c"}
    assert kept.campaigns(json_kind("gates")) == set()


def test_one_is_found_by_its_key_alone(campaign: Store) -> None:
    for round_ in range(3):
        campaign.evaluations.save(KIND, "c", judgement(), round_=round_)
    asked: list[Any] = []
    event.listen(
        campaign.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: asked.append(statement),
    )
    campaign.evaluations.get(KIND, "c", round_=1)
    (query,) = (statement for statement in asked if "FROM evaluation" in statement)
    for column in ("campaign", "kind", "round", "subject"):
        assert f"evaluation.{column} = " in query


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('{"verdict": "good"}', "field test: Field required"),
        ('{"verdict": "odd"}', r"field verdict: Input should be 'good' or 'bad'"),
        ("[]", "Input should be"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_no_such_record_is_named(
    campaign: Store, body: str, wrong: str
) -> None:
    put(campaign, body)
    where = "judgement of 'fire', round 1 of 'c' cannot be read as judgement"
    with pytest.raises(StoreError, match=f"{where}: {wrong}"):
        campaign.evaluations.get(KIND, "c", round_=1, subject="fire")
    with pytest.raises(StoreError, match=f"{where}: {wrong}"):
        campaign.evaluations.list(KIND, "c")


@pytest.mark.parametrize(
    ("place", "unknown"),
    [('"curve"', "nonsense"), ('"n_atoms"', r"test\.nonsense")],
)
def test_an_unknown_field_is_refused_wherever_it_is(
    campaign: Store, place: str, unknown: str
) -> None:
    body = KIND.encode(judgement()).replace(place, f'"nonsense": 1, {place}')
    put(campaign, body)
    with pytest.raises(StoreError, match=f"unknown field {unknown}; it was written by"):
        campaign.evaluations.get(KIND, "c", round_=1, subject="fire")


def test_a_json_kind_takes_objects_alone(campaign: Store) -> None:
    put(campaign, "[1]", kind="note")
    with pytest.raises(StoreError, match="expected a JSON object, got list"):
        campaign.evaluations.list(NOTE, "c")


def test_an_older_form_is_upgraded_and_a_newer_one_refused(campaign: Store) -> None:
    second = replace(NOTE, upgrades=(lambda raw: raw | {"since": 2},))
    campaign.evaluations.save(NOTE, "c", {"a": 1})
    assert campaign.evaluations.get(second, "c") == {"a": 1, "since": 2}
    campaign.evaluations.save(second, "c", {"a": 3})
    assert campaign.evaluations.get(second, "c") == {"a": 3}
    with pytest.raises(StoreError, match="it has form 2, this FIRE knows up to 1"):
        campaign.evaluations.get(NOTE, "c")


OLD_ROWS = {
    ("c", "fire", "test-1"): ("judgement", 1, "fire"),
    ("c", "committee-1", "test-12"): ("judgement", 12, "committee-1"),
    ("c", "fire-2", "gates"): ("gates", 0, "fire-2"),
    ("c", "campaign", "decision"): ("decision", 0, ""),
    ("c", "uncertainty-of-candidates", "round-3"): ("candidate_uncertainty", 3, ""),
    ("c", "uncertainty-of-new-labels", "round-3"): ("label_uncertainty", 3, ""),
    ("c", "fire", "regression-2026-11-29"): ("regression", 0, "fire/2026-11-29"),
    ("c", "fire", "test"): ("unknown", 0, '["fire", "test"]'),
    ("c", "fire", "test-one"): ("unknown", 0, '["fire", "test-one"]'),
    ("study-s", "plan", "plan"): ("study_plan", 0, ""),
    ("study-s", "0a1b", "test"): ("study_cell", 0, "0a1b"),
    ("study-s", "0a1b", "failure"): ("study_failure", 0, "0a1b"),
    ("study-s", "pool", "space-77"): ("study_space", 0, "77"),
    ("study-s", "foundation", "baseline-88"): ("study_baseline", 0, "88"),
    ("study-s", "fire", "test-1"): ("unknown", 0, '["fire", "test-1"]'),
}
"""Evaluations as they were kept before 0007, and where they are since."""
NEW = "SELECT campaign, kind, round, subject, version, body_json FROM evaluation"
OLD = "SELECT campaign, model, dataset, result_json FROM evaluation"


def test_migration_0007_takes_every_evaluation_along_and_back(campaign: Store) -> None:
    campaign.campaigns.open("study-s", "{}")
    migrate(campaign.engine, "0006")
    bodies = {key: f'{{"of":  {number}}}' for number, key in enumerate(OLD_ROWS)}
    entered = text("INSERT INTO evaluation VALUES (:c, :m, :d, :body)")
    with campaign.engine.begin() as connection:
        for (name, model, dataset), body in bodies.items():
            row = {"c": name, "m": model, "d": dataset, "body": body}
            connection.execute(entered, row)
    migrate(campaign.engine)
    with campaign.engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(NEW))]
    assert sorted(rows) == sorted(
        (key[0], *OLD_ROWS[key], 1, body) for key, body in bodies.items()
    )
    found = campaign.evaluations.get(
        json_kind("judgement"), "c", round_=1, subject="fire"
    )
    assert found == {"of": 0}
    migrate(campaign.engine, "0006")
    with campaign.engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(OLD))]
    assert sorted(rows) == sorted((*key, body) for key, body in bodies.items())
    migrate(campaign.engine)
