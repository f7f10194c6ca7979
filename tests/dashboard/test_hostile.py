"""What a stranger or a careless script may send: refused, recorded, nothing told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from dashboard.access.roles import Role
from dashboard.settings import LARGEST
from tests.dashboard.lab import Browser, Lab, enter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import APIRouter, FastAPI

TOLD_TO_ALL = {"/login", "/health"}


def routes(app: FastAPI | APIRouter, before: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path of an application and of what is below it."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield method, before + route.path
        elif inner is not None:
            yield from routes(inner, before)
        elif isinstance(route, Mount) and hasattr(route.app, "openapi"):
            yield from routes(route.app, before + route.path)  # type: ignore[arg-type]


def fill(path: str, lab: Lab) -> str:
    """Name real things, so that only the door can refuse."""
    known = {
        "{campaign}": "salt", "{name}": "salt", "{round}": "1", "{round_}": "1",
        "{number}": "1", "{purpose}": "selected", "{model}": "fire",
        "{key}": lab.facts["structure"], "{theory}": lab.facts["theory"],
        "{name}.svg": "x.svg",
    }  # fmt: skip
    if path.startswith("/properties/{key}"):
        path = path.replace("{key}", lab.facts["property"])
    for mark, word in known.items():
        path = path.replace(mark, word)
    return path


def test_a_stranger_gets_nothing_from_any_path(lab: Lab) -> None:
    seen = list(routes(lab.app))
    assert len(seen) > 30
    for number, (method, path) in enumerate(seen):
        if path in TOLD_TO_ALL:
            continue
        browser = Browser(lab.app, address=f"10.9.{number}.1")
        answer = browser.request(method, fill(path, lab))
        where = f"{method} {path}"
        assert answer.status_code in {303, 401, 403}, where
        for word in ("olga", "theory-1", "broke", "weights", lab.facts["sha"]):
            assert word not in answer.text, where
        if method not in {"GET", "HEAD"}:
            with lab.store() as store:
                last = store.actions.list(1)[0].action
            assert last.outcome == "refused", where
            assert last.actor == browser.address, where


def test_a_viewer_changes_nothing_anywhere(lab: Lab) -> None:
    """Signed in, with a form's own word, yet without the right."""
    viewer = enter(lab, Role.VIEWER)
    word = viewer.csrf()
    for method, path in routes(lab.app):
        if method in {"GET", "HEAD"} or path in {"/login", "/logout"}:
            continue
        answer = viewer.request(method, fill(path, lab), data={"csrf": word})
        assert answer.status_code == httpx.codes.FORBIDDEN, path
        with lab.store() as store:
            last = store.actions.list(1)[0].action
        assert (last.actor, last.role, last.outcome) == ("vera", "viewer", "refused")


def test_a_form_of_another_page_is_refused(lab: Lab) -> None:
    """A link elsewhere that posts with an operator's cookie."""
    operator = enter(lab, Role.OPERATOR)
    operator.csrf()
    for method, path in routes(lab.app):
        if method in {"GET", "HEAD"} or path == "/login":
            continue
        for data in ({}, {"csrf": "guessed"}):
            answer = operator.request(method, fill(path, lab), data=data)
            assert answer.status_code == httpx.codes.FORBIDDEN, path


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2f..%2fapp.py", "/vendor/plotly/../../os.py",
        "/structures/..%2F..%2Fetc%2Fpasswd", "/models/salt/..%2F..%2Ffire.db",
        "/models/salt/../../../people", "/campaigns/..%2Fpeople/report.html",
        "/properties/../people", "/static/%00", "/structures/' OR 1=1 --",
    ],
)  # fmt: skip
def test_a_path_outside_is_not_served(lab: Lab, path: str) -> None:
    answer = enter(lab, Role.OPERATOR).get(path)
    assert answer.status_code in {400, 404, 422}
    assert "root:" not in answer.text
    assert "argon2" not in answer.text
    assert "def create_app" not in answer.text


@pytest.mark.parametrize("says", [True, False])
def test_a_huge_request_is_refused_before_it_is_read(lab: Lab, *, says: bool) -> None:
    piece = b"x" * 4096

    async def stream() -> object:
        for _ in range(4 * LARGEST // len(piece)):
            yield piece

    content = piece * (4 * LARGEST // len(piece)) if says else stream()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = Browser(lab.app).request("POST", "/login", content=content, headers=form)
    assert answer.status_code == (413 if says else 400)


def test_every_answer_forbids_foreign_scripts_and_frames(lab: Lab) -> None:
    for path in ("/login", "/", "/static/fire.js", "/nowhere", "/api/v1/campaigns"):
        headers = Browser(lab.app).get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
        assert headers["x-content-type-options"] == "nosniff"
