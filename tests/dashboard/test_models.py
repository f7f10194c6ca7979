"""Models: told with their numbers, promoted through gates, rolled back, downloaded."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from dashboard.access.roles import Role
from dashboard.found import need_facts
from dashboard.pages.model_parity import judged_keys
from dashboard.pages.models import list_names
from fire_core.campaign.kinds import (
    GATE_RECORD,
    JUDGEMENT,
    NEUTRAL_COPY,
    EnergyConservation,
    GateRecord,
    Judgement,
    NeutralCopy,
)
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.gates import gates_basis
from fire_core.campaign.views.models import (
    describe_strategy,
    find_judged,
    flatten,
    read_parents,
)
from fire_core.campaign.views.results import read_arrays
from fire_core.config.open_sets import GATES
from fire_core.records import ErrorSummary, GateResult
from fire_core.storage.evaluations import Evaluated
from tests.dashboard.lab import EVIL, Lab, build, enter
from tests.dashboard.test_labels import words

if TYPE_CHECKING:
    from pathlib import Path


MODEL = "/models/salt/fire"
TRAINING: dict[str, Any] = {
    "settings": {"strategy": "replay", "epochs": 3, "replay": {"ratio": 2.0}},
    "references": {"shift": {"Cl": -1.0, "Li": -2.0}},
    "kept_epoch": 1,
    "epochs": 3,
    "start_forgetting_force_mae": 180.0,
    "adapted": ["Cl", "Li"],
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build(tmp_path)


def check(
    lab: Lab,
    name: str,
    *failed: str,
    gates: tuple[str, ...] = tuple(GATES.builtin),
) -> None:
    """Enter gate results as `fire model check` does."""
    with lab.store() as store:
        row = store.campaigns.get("salt")
        assert row is not None
        results = [
            GateResult(g, g not in failed, 1.25, 1.5, "eV", f"{g} is 1.25 eV {EVIL}")
            for g in gates
        ]
        basis = gates_basis(CampaignState.within(store, row), name)
        record = GateRecord(basis, tuple(results))
        store.evaluations.save(GATE_RECORD, "salt", record, subject=name)


def add(lab: Lab, name: str, *, parent: str | None = None) -> str:
    with lab.store() as store:
        sha = store.blobs.put_bytes(f"weights of {name}".encode())
        text = json.dumps(TRAINING)
        store.models.add("salt", name, sha, parent_sha=parent, config_json=text)
    return sha


def state(lab: Lab, name: str) -> str:
    with lab.store() as store:
        return store.models.need("salt", name).state


def test_the_registry_has_errors_forgetting_and_gates(lab: Lab) -> None:
    check(lab, "fire", "dimers")
    viewer = enter(lab, Role.VIEWER)
    text = words(viewer.get("/models"))
    assert "Models 2" in text
    assert "– – 100 5 200 +0 % 9 of 10" in text
    assert "not checked" in text
    assert words(viewer.get("/models?state=production")).count("No such model.") == 1
    assert "fire" in words(viewer.get("/models?campaign=salt&state=candidate"))


def test_a_models_page_says_what_is_known(lab: Lab) -> None:
    sha = add(lab, "fire-2", parent="f" * 64)
    check(lab, "fire-2", "dimers")
    page = enter(lab, Role.VIEWER).get("/models/salt/fire-2")
    text = words(page)
    assert "2 of 3" in text
    assert "Cl Li" in text
    assert sha in text
    assert "a foundation model, sha256 ffffffffffff…" in text
    assert "dimers failed 1.25 1.5 eV dimers is 1.25 eV" in text
    assert EVIL not in page.text
    assert "fire model export salt fire-2 model.pt --format lammps" in text
    assert "Promote to" not in text
    assert "replay.ratio 2.0" in text


def test_the_page_shows_parity_learning_and_the_foundation_model(lab: Lab) -> None:
    page = enter(lab, Role.VIEWER).get(MODEL)
    assert page.status_code == httpx.codes.OK
    for plot in ("plot-learning", "plot-forces", "plot-energies"):
        assert f'data-plot="{plot}"' in page.text
    assert "force RMSE 600 100 -83 % meV/Å" in words(page)


def test_a_missing_curve_leaves_the_rest(lab: Lab) -> None:
    with lab.store() as store:
        judged = store.evaluations.get(JUDGEMENT, "salt", round_=1, subject="fire")
        assert judged is not None
        assert judged.curves_blob is not None
        store.blobs.delete(judged.curves_blob)
    page = enter(lab, Role.VIEWER).get(MODEL)
    assert page.status_code == httpx.codes.OK
    assert "is missing" in page.text


def test_a_campaign_of_another_version_gets_a_sentence(lab: Lab) -> None:
    with lab.store() as store:
        store.campaigns.open("old", '{"knob_of_yore": 1}')
        sha = lab.facts["sha"]
        store.models.add("old", "fire", sha, parent_sha=None, config_json="{}")
    operator = enter(lab, Role.OPERATOR)
    for path in ("/models", "/models/old/fire"):
        page = operator.get(path)
        assert page.status_code == httpx.codes.OK
        assert "stored by another version of FIRE" in page.text
    answer = operator.post("/models/old/fire/promote", to="staging")
    assert answer.status_code == httpx.codes.CONFLICT


def test_an_operator_promotes_through_gates_and_rolls_back(lab: Lab) -> None:
    add(lab, "fire-2")
    for name in ("fire", "fire-2"):
        check(lab, name)
    operator = enter(lab, Role.OPERATOR)
    for name in ("fire", "fire-2"):
        path = f"/models/salt/{name}/promote"
        answer = operator.post(path, to="production", reason=f"good {EVIL}")
        assert answer.status_code == httpx.codes.SEE_OTHER
    assert (state(lab, "fire"), state(lab, "fire-2")) == ("retired", "production")
    page = operator.get("/models/salt/fire-2")
    assert EVIL not in page.text
    assert "it passed 10 of 10 required gates." in page.text
    answer = operator.post("/models/salt/rollback", reason="worse")
    assert answer.headers["location"] == "/models/salt/fire"
    assert (state(lab, "fire"), state(lab, "fire-2")) == ("production", "retired")
    with lab.store() as store:
        rolled, second, first = [r.action for r in store.actions.list(3)]
        *_, last = store.models.promotions("salt")
    assert (rolled.action, rolled.actor) == ("roll back", "olga")
    assert second.subject == "salt/fire-2 to production"
    assert first.outcome == "done"
    assert (last.actor, last.reason) == ("olga", "worse")


def test_without_its_gates_a_model_stays(lab: Lab) -> None:
    check(lab, "fire", "dimers", gates=("dimers", "shear"))
    answer = enter(lab, Role.OPERATOR).post(f"{MODEL}/promote", to="staging")
    assert answer.status_code == httpx.codes.CONFLICT
    text = words(answer)
    assert "Failed dimers : dimers is 1.25 eV" in text
    assert "energy error, force error" in text
    assert "fire model check salt fire" in text
    assert EVIL not in answer.text
    assert state(lab, "fire") == "candidate"
    with lab.store() as store:
        last = store.actions.list(1)[0].action
    assert (last.action, last.outcome) == ("promote", "refused")
    assert "9 of 10 required gates are not passed" in last.detail


def test_nothing_before_production_to_roll_back_to(lab: Lab) -> None:
    answer = enter(lab, Role.OPERATOR).post("/models/salt/rollback")
    assert answer.status_code == httpx.codes.CONFLICT
    assert "no model in production" in answer.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_an_operator_promotes_or_rolls_back(lab: Lab, role: Role) -> None:
    check(lab, "fire")
    browser = enter(lab, role)
    assert "Promote to" not in browser.get(MODEL).text
    for path in (f"{MODEL}/promote", "/models/salt/rollback"):
        answer = browser.post(path, to="staging")
        assert answer.status_code == httpx.codes.FORBIDDEN
        with lab.store() as store:
            last = store.actions.list(1)[0].action
        assert (last.role, last.outcome) == (role.value, "refused")
    assert state(lab, "fire") == "candidate"


def test_a_download_is_the_file_and_is_recorded(lab: Lab) -> None:
    answer = enter(lab, Role.VIEWER).get(f"{MODEL}/download")
    assert hashlib.sha256(answer.content).hexdigest() == lab.facts["sha"]
    name = answer.headers["content-disposition"]
    assert name == 'attachment; filename="salt-fire.model"'
    with lab.store() as store:
        last = store.actions.list(1)[0].action
        place = store.blobs.path(lab.facts["sha"])
    assert (last.actor, last.action, last.subject) == ("vera", "download", "salt/fire")
    place.write_bytes(b"something else")
    damaged = enter(lab, Role.VIEWER).get(f"{MODEL}/download")
    assert damaged.status_code == httpx.codes.CONFLICT


def test_neutral_weights_are_offered_where_there_are_any(lab: Lab) -> None:
    browser = enter(lab, Role.VIEWER)
    link = f"{MODEL}/download?form=neutral"
    assert "form=neutral" not in browser.get(MODEL).text
    assert browser.get(link).status_code == httpx.codes.NOT_FOUND
    with lab.store() as store:
        copy = NeutralCopy(lab.facts["sha"], store.blobs.put_bytes(b"tensors"))
        store.evaluations.save(NEUTRAL_COPY, "salt", copy, subject="fire")
    page = browser.get(MODEL).text
    assert f"sha256 {copy.blob}" in page
    assert "form=neutral" in page
    answer = browser.get(link)
    assert answer.content == b"tensors"
    name = answer.headers["content-disposition"]
    assert name == 'attachment; filename="salt-fire.safetensors"'
    with lab.store() as store:
        failed = NeutralCopy(lab.facts["sha"], None, "no layers")
        store.evaluations.save(NEUTRAL_COPY, "salt", failed, subject="fire")
    assert "none: no layers" in browser.get(MODEL).text
    assert browser.get(f"{MODEL}/download?form=other").status_code == 422


def test_two_models_side_by_side(lab: Lab) -> None:
    add(lab, "fire-2")
    viewer = enter(lab, Role.VIEWER)
    page = viewer.get("/models/compare?a=salt/fire&b=salt/fire-2")
    text = words(page)
    assert "strategy – replay" in text
    assert "force RMSE 100 – – – meV/Å" in text
    assert 'data-plot="plot-learning"' in page.text
    codes = {
        "?a=salt/fire": 422, "?a=salt/fire&b=salt/none": 404, "": 422,
        "?a=salt/fire&b=salt/fire": 200, "?a=/&b=/": 422,
    }  # fmt: skip
    found = {q: viewer.get(f"/models/compare{q}").status_code for q in codes}
    assert found == codes


def test_what_is_not_there_is_said(lab: Lab) -> None:
    viewer = enter(lab, Role.VIEWER)
    assert viewer.get("/models/salt/none").status_code == httpx.codes.NOT_FOUND
    assert viewer.get("/models/none/fire").status_code == httpx.codes.NOT_FOUND


def test_parents_lead_to_the_foundation_model(lab: Lab) -> None:
    first = add(lab, "a", parent="f" * 64)
    second = add(lab, "b", parent=first)
    add(lab, "c", parent=second)
    with lab.store() as store:
        chain = read_parents(store, store.models.need("salt", "c"))
    assert [(p.campaign, p.name) for p in chain] == [
        ("salt", "b"), ("salt", "a"), ("", ""),
    ]  # fmt: skip
    assert chain[-1].sha == "f" * 64


def test_a_judgement_is_found_by_kind_and_round() -> None:
    def judgement(round_: int, kind: str) -> Judgement:
        errors = ErrorSummary(1, 8, 1.0, 1.0, 10.0, 8.0, 20.0)
        stability = EnergyConservation(0.1, completed=True)
        return Judgement(errors, errors, stability, f"{kind} {round_}")

    rows = [
        Evaluated(round_, kind, judgement(round_, kind))
        for kind in ("zero_shot", "pre_fine_tuned", "fire", "committee-1")
        for round_ in (1, 2)
    ]
    names = ("pre_fine_tuned", "fire", "fire-2", "committee-1", "committee-1-2")
    found = {name: find_judged(rows, name) for name in names}
    texts = {
        name: judged and judged.result.curves_blob for name, judged in found.items()
    }
    assert texts == {
        "pre_fine_tuned": "pre_fine_tuned 2", "fire": "fire 1", "fire-2": "fire 2",
        "committee-1": "committee-1 1", "committee-1-2": "committee-1 2",
    }  # fmt: skip
    assert find_judged(rows, "vanilla") is None


def test_studies_are_shown_where_asked_for() -> None:
    states = {"salt": [("fire", "candidate")], "study-a": [("cell", "candidate")]}
    assert list_names(states, "", "") == [("salt", "fire")]
    assert list_names(states, "study-a", "") == [("study-a", "cell")]
    assert list_names(states, "", "production") == []


def test_a_strategy_tells_whose_weights_were_trained() -> None:
    assert describe_strategy(TRAINING) == "replay, weights of Cl Li"
    assert describe_strategy(TRAINING | {"adapted": None}) == "replay"
    assert describe_strategy({}) == ""


def test_settings_are_flat() -> None:
    value = {"a": {"b": 1, "c": {}}, "d": [1, 2], "e": None, "f": "word"}
    assert flatten(value) == {
        "a.b": "1", "a.c": "{}", "d": "[1, 2]", "e": "null", "f": "word",
    }  # fmt: skip


def test_forces_are_shown_by_element_with_the_worst_structures(lab: Lab) -> None:
    with lab.store() as store:
        row = store.selections.get("salt", 1, "test")
        stored = store.evaluations.get(JUDGEMENT, "salt", round_=1, subject="fire")
        assert row is not None
        assert stored is not None
        assert stored.curves_blob is not None
        numbers = read_arrays(store, stored.curves_blob)
        numbers["forces"][30] = numbers["forces_reference"][30] + 5.0  # of the second
        buffer = io.BytesIO()
        np.savez(buffer, **numbers, keys=np.array(row.keys))
        blob = store.blobs.put_bytes(buffer.getvalue())
        judgement = replace(stored, curves_blob=blob)
        store.evaluations.save(JUDGEMENT, "salt", judgement, round_=1, subject="fire")
    page = enter(lab, Role.VIEWER).get(MODEL)
    assert "Forces by element" in words(page)
    places = [page.text.index(f'/structures/{key}">') for key in row.keys]
    assert places[1] == min(places)
    assert " 5000 " in words(page)


def test_elements_are_told_only_where_the_labels_are_the_same(lab: Lab) -> None:
    """The judgement of the lab is of other labels than the store has."""
    with lab.store() as store:
        facts = need_facts(store, "salt", "fire")
        assert facts.judged is not None
        assert facts.judged.result.curves_blob is not None
        arrays = read_arrays(store, facts.judged.result.curves_blob)
        assert judged_keys(store, facts, arrays) == []
