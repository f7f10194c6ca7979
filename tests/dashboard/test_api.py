"""The API says in JSON what the store holds, to whoever has a token that lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from dashboard.access.tokens import make_token
from tests.dashboard.lab import Browser, Lab

if TYPE_CHECKING:
    from fastapi import FastAPI


def script(app: FastAPI, name: str = "vera", days: float = 1.0) -> Browser:
    token = make_token(app.state.doorkeeper.secret, name, days)
    return Browser(app, headers={"Authorization": f"Bearer {token}"})


def test_a_structure_comes_back_bit_for_bit(lab: Lab) -> None:
    key = lab.facts["structure"]
    found = script(lab.app).get(f"/api/v1/structures/{key}").json()
    with lab.store() as store:
        atoms = store.structures.get([key])[0]
        label = store.labels.get([key], lab.facts["theory"])[key]
    assert np.array_equal(found["positions"], atoms.positions)
    assert found["labels"][0]["energy"] == label.energy
    assert np.array_equal(found["labels"][0]["forces"], label.forces)


def test_pages_follow_each_other_without_gap_or_repeat(lab: Lab) -> None:
    web = script(lab.app)
    every = [s["key"] for s in web.get("/api/v1/structures?limit=500").json()]
    assert len(set(every)) == 12
    got: list[str] = []
    query = ""
    while page := web.get(f"/api/v1/structures?limit=5{query}").json():
        got += [s["key"] for s in page]
        last = page[-1]
        query = f"&after_time={last['created_at']!r}&after_key={last['key']}"
    assert got == every


def test_labels_by_state_add_up_to_the_counts(lab: Lab) -> None:
    web = script(lab.app)
    (theory,) = web.get("/api/v1/theories").json()
    for state, number in theory["labels"].items():
        found = web.get(
            f"/api/v1/labels?theory={theory['fingerprint']}&state={state}"
        ).json()
        assert len(found) == number
    assert theory["labels"] == {"done": 9, "failed": 1, "wanted": 1}


def test_filters_narrow(lab: Lab) -> None:
    web = script(lab.app)
    chosen = web.get("/api/v1/structures?campaign=salt").json()
    assert len(chosen) == 10
    assert not web.get("/api/v1/structures?element=Na").json()
    both = web.get("/api/v1/structures?element=Li&element=Cl&least=8&most=8").json()
    assert len(both) == 12


def test_the_description_names_every_path(lab: Lab) -> None:
    schema = script(lab.app).get("/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert schema["info"]["version"] == "1"
    assert set(schema["paths"]["/structures"]) == {"get"}
    methods = {m for path in schema["paths"].values() for m in path}
    assert methods == {"get"}


@pytest.mark.parametrize(("name", "days"), [("vera", -0.001), ("nobody", 1.0)])
def test_a_token_that_ended_or_of_a_stranger_is_refused_and_recorded(
    lab: Lab, name: str, days: float
) -> None:
    web = script(lab.app, name, days)
    web.address = f"10.2.{len(name)}.1"
    answer = web.get("/api/v1/campaigns")
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert "salt" not in answer.text
    with lab.store() as store:
        last = store.actions.list(1)[0].action
    assert (last.outcome, last.actor) == ("refused", web.address)


def test_what_is_not_there_is_said_in_json(lab: Lab) -> None:
    web = script(lab.app)
    for path in ("campaigns/none", "structures/00", "campaigns/salt/rounds/9/picks"):
        answer = web.get(f"/api/v1/{path}")
        assert answer.status_code == httpx.codes.NOT_FOUND, path
        assert answer.json()["detail"]
    assert web.get("/api/v1/labels?theory=x&state=odd").status_code == 422
    assert web.get("/api/v1/structures?limit=100000").status_code == 422
