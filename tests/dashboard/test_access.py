"""Who is let in, as what, for how long; what is refused is on record."""

from __future__ import annotations

import base64
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dashboard.access import identity
from dashboard.access.guard import MOST_FAILURES, Throttle
from dashboard.access.people import NO_PASSWORD, People
from dashboard.access.roles import LEAST, Right, Role, Visitor
from dashboard.access.tokens import make_token, read_secret
from dashboard.app import create_app
from dashboard.settings import SESSION_S, DashboardSettings
from fire_core.errors import ConfigError
from tests.dashboard.lab import NAMES, SECRET, Browser, Lab, build, enter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fire_core.storage.actions import Action

HEADER = "X-Remote-User"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(built: Lab) -> Iterator[Lab]:
    """The store of this module, with its people as they were."""
    text = built.people.read_text()
    yield replace(built, app=create_app(settings_of(built)))
    write(built.people, text)


def settings_of(lab: Lab, **changes: object) -> DashboardSettings:
    plain = DashboardSettings(lab.url, str(lab.blobs), people=lab.people)
    return replace(plain, **changes)  # type: ignore[arg-type]


def visit(lab: Lab, **changes: object) -> Browser:
    return Browser(create_app(settings_of(lab, **changes)))


def write(file: Path, text: str) -> None:
    """Change a file so that its time tells, however soon after the last change."""
    file.write_text(text)
    later = file.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))


def last(lab: Lab) -> Action:
    with lab.store() as store:
        return store.actions.list(1)[0].action


def basic(name: str, password: str) -> dict[str, str]:
    word = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {word}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def who(browser: Browser) -> str:
    """Name and role that a page shows; empty where it is not shown."""
    answer = browser.get("/labels")
    if answer.status_code != httpx.codes.OK:
        return ""
    shown = answer.text.split('<div class="who">')[1].split("</span>")[0]
    return (
        shown.replace("<span>", "")
        .replace("<small>", "")
        .replace("</small>", "")
        .strip()
    )


def test_passwords_are_argon2_hashes(tmp_path: Path) -> None:
    people = People(tmp_path / "people")
    people.put("ada", Role.MEMBER, "correct horse")
    people.put("script", Role.VIEWER, None)
    first, second = people.path.read_text().splitlines()
    assert first.startswith("ada:member:$argon2id$")
    assert second == f"script:viewer:{NO_PASSWORD}"
    assert people.check("ada", "correct horse") is not None
    for name, word in (("ada", "correct hors"), ("ada", ""), ("bob", "correct horse")):
        assert people.check(name, word) is None
    for word in ("", "-", "correct horse"):
        assert people.check("script", word) is None


def test_a_changed_file_is_read_again(lab: Lab) -> None:
    browser = enter(lab, Role.MEMBER)
    assert who(browser) == "max member"
    text = lab.people.read_text()
    write(lab.people, text.replace("max:member", "max:operator"))
    assert who(browser) == "max operator"
    write(lab.people, "\n".join(t for t in text.splitlines() if "max:" not in t))
    assert who(browser) == ""


@pytest.mark.parametrize("line", ["ada", "ada:boss:x", "ada:member", ":::"])
def test_a_wrong_line_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "people"
    file.write_text(f"# who\n\nbob:viewer:-\n{line}\n")
    with pytest.raises(ConfigError, match=r"line 4: expected NAME:ROLE:HASH"):
        People(file).all()


def test_a_role_has_the_rights_of_those_below_it() -> None:
    rights = {
        role: {right for right in Right if Visitor("x", role, "open").may(right)}
        for role in Role
    }
    assert rights[Role.VIEWER] == {Right.SEE, Right.DOWNLOAD}
    assert rights[Role.MEMBER] - rights[Role.VIEWER] == {Right.APPROVE, Right.RETRY}
    assert rights[Role.OPERATOR] == set(Right) == set(LEAST)


def test_a_login_begins_a_session_and_a_logout_ends_it(lab: Lab) -> None:
    browser = enter(lab, Role.VIEWER)
    assert who(browser) == "vera viewer"
    assert (last(lab).action, last(lab).outcome) == ("login", "done")
    assert browser.post("/logout").status_code == httpx.codes.SEE_OTHER
    assert who(browser) == ""
    assert browser.get("/labels").headers["location"] == "/login"


def test_a_refused_login_says_nothing_and_is_recorded(lab: Lab) -> None:
    """A known name with a wrong password is answered as an unknown name is."""
    pages = []
    for name in ("olga", "nobody-here"):
        browser = Browser(lab.app)
        answer = browser.post("/login", name=name, password="wrong password")
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        word = browser.csrf()
        pages.append(answer.text.replace(word, ""))
        action = last(lab)
        assert (action.actor, action.outcome) == (name, "refused")
        assert "wrong password" not in str(action).replace("wrong name or password", "")
    assert pages[0] == pages[1]
    assert "olga" not in pages[0]


def test_a_session_ends_after_its_hours(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = enter(lab, Role.VIEWER)
    now = time.time()
    monkeypatch.setattr(identity.time, "time", lambda: now + SESSION_S - 60)
    assert who(browser) == "vera viewer"
    monkeypatch.setattr(identity.time, "time", lambda: now + SESSION_S + 60)
    assert who(browser) == ""


def test_a_session_of_another_key_is_none(lab: Lab, tmp_path: Path) -> None:
    browser = enter(lab, Role.OPERATOR)
    other = tmp_path / "people"
    other.write_text(lab.people.read_text())
    app = create_app(settings_of(lab, people=other))
    assert who(replace(browser, app=app)) == ""
    assert who(browser) == "olga operator"


def test_a_token_is_its_person_until_its_day(lab: Lab) -> None:
    secret = read_secret(lab.people)
    token = make_token(secret, "max", 1.0)
    assert who(Browser(lab.app, headers=bearer(token))) == "max member"
    old = make_token(secret, "max", -0.001)
    changed = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    foreign = make_token("another secret", "max", 1.0)
    stranger = make_token(secret, "removed", 1.0)
    for number, wrong in enumerate((old, changed, foreign, stranger, "", "a.b")):
        browser = Browser(lab.app, f"10.2.2.{number}", headers=bearer(wrong))
        assert browser.get("/labels").status_code in {303, 401}
        assert who(browser) == ""
        assert (last(lab).actor, last(lab).outcome) == (browser.address, "refused")


def test_a_removed_person_is_out_by_every_way(lab: Lab) -> None:
    token = make_token(read_secret(lab.people), "max", 1.0)
    session = enter(lab, Role.MEMBER)
    People(lab.people).remove("max")
    assert who(session) == ""
    assert who(Browser(lab.app, headers=bearer(token))) == ""
    assert who(Browser(lab.app, headers=basic("max", SECRET))) == ""


def test_a_token_needs_no_word_of_a_form(lab: Lab) -> None:
    token = make_token(read_secret(lab.people), "max", 1.0)
    script = Browser(lab.app, headers=bearer(token))
    data = {"theory": lab.facts["theory"], "cause": "timeout"}
    answer = script.request("POST", "/labels/retry", data=data)
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert (last(lab).actor, last(lab).action) == ("max", "retry")


def test_a_wrong_way_is_not_passed_over_for_a_weaker_one(lab: Lab) -> None:
    open_to_all = visit(lab, people=None)
    assert who(open_to_all)
    assert who(replace(open_to_all, headers=bearer("false"))) == ""
    assert who(replace(open_to_all, headers=basic("a", "b"))) == ""
    behind = visit(lab, proxy_header=HEADER)
    headers = {HEADER: "olga"} | basic("olga", "wrong")
    assert who(replace(behind, address="127.0.0.1", headers=headers)) == ""


def test_basic_authentication_is_a_password(lab: Lab) -> None:
    assert who(Browser(lab.app, headers=basic("max", SECRET))) == "max member"
    for broken in (b"Basic \xff", b"Basic %%", b"Basic /w==", b"Basic ", b"Basic"):
        headers: dict[str, Any] = {"Authorization": broken}
        assert who(Browser(lab.app, headers=headers)) == ""
    operator = visit(lab, people=None, auth="lab:only this")
    assert who(replace(operator, headers=basic("lab", "only this"))) == "lab operator"
    for wrong in (("lab", "only"), ("lab", ""), ("", "")):
        assert who(replace(operator, headers=basic(*wrong))) == ""


def test_a_proxy_is_believed_at_its_address_alone(lab: Lab) -> None:
    browser = visit(lab, proxy_header=HEADER, trusted=("10.5.0.0/16",))
    browser.headers = {HEADER: "olga"}
    for address, seen in (
        ("10.5.3.2", "olga operator"), ("10.6.0.1", ""), ("127.0.0.1", ""),
    ):  # fmt: skip
        assert who(replace(browser, address=address)) == seen
    browser.address, browser.headers = "10.5.3.2", {HEADER: "a-guest"}
    assert who(browser) == "a-guest viewer"
    strict = visit(lab, proxy_header=HEADER, trusted=("10.5.0.0/16",), stranger=None)
    strict.address, strict.headers = "10.5.3.2", {HEADER: "a-guest"}
    assert who(strict) == ""


def test_an_open_dashboard_is_an_operators_here_and_for_looking_elsewhere(
    lab: Lab,
) -> None:
    assert who(visit(lab, people=None, is_local=True)).endswith(" operator")
    elsewhere = visit(lab, people=None, is_local=False)
    assert who(elsewhere) == "anybody viewer"
    answer = elsewhere.post("/labels/retry", theory=lab.facts["theory"])
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_too_many_failures_shut_the_door_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    throttle = Throttle(most=3, window_s=60.0)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(2):
        throttle.note("a")
    assert not throttle.is_shut("a")
    throttle.note("a")
    assert throttle.is_shut("a")
    assert not throttle.is_shut("b")
    now += 61.0
    assert not throttle.is_shut("a")


def test_guessing_is_stopped_for_the_guesser_alone(lab: Lab) -> None:
    guesser = Browser(lab.app, "10.7.7.7")
    word = guesser.csrf()
    for _ in range(MOST_FAILURES):
        form = {"csrf": word, "name": "olga", "password": "guess it again"}
        answer = guesser.request("POST", "/login", data=form)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
    form = {"csrf": word, "name": "olga", "password": SECRET}
    answer = guesser.request("POST", "/login", data=form)
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    token = Browser(lab.app, "10.7.7.7", headers=basic("olga", SECRET))
    assert token.get("/labels").status_code == httpx.codes.TOO_MANY_REQUESTS
    assert who(enter(lab, Role.OPERATOR)) == "olga operator"


def test_a_form_needs_the_word_of_its_own_session(lab: Lab) -> None:
    mine, other = enter(lab, Role.OPERATOR), enter(lab, Role.OPERATOR)
    data = {"theory": lab.facts["theory"]}
    for word in (None, "", "guess", other.csrf(), "é"):
        sent = data if word is None else data | {"csrf": word}
        answer = mine.request("POST", "/labels/retry", data=sent)
        assert answer.status_code == httpx.codes.FORBIDDEN
        assert (last(lab).action, last(lab).outcome) == ("form", "refused")
    with lab.store() as store:
        assert [f.labels for f in store.labels.failure_counts()] == [1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_over_https_is_never_sent_without(lab: Lab, scheme: str) -> None:
    """Behind a proxy that ends TLS the proxy says so."""
    answer = visit(lab).get("/login", headers={"X-Forwarded-Proto": scheme})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("fire_session=")
    assert ("secure" in cookie.split("; ")) == (scheme == "https")


def test_the_word_of_before_the_login_is_not_that_of_after(lab: Lab) -> None:
    browser = Browser(lab.app)
    before = browser.csrf()
    browser.post("/login", name=NAMES[Role.MEMBER], password=SECRET)
    data = {"csrf": before, "theory": lab.facts["theory"]}
    answer = browser.request("POST", "/labels/retry", data=data)
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_the_secret_is_the_owners_alone_and_outlasts_a_restart(tmp_path: Path) -> None:
    first = read_secret(tmp_path / "people")
    assert read_secret(tmp_path / "people") == first
    assert len(first) == 64
    mode = (tmp_path / "people.secret").stat().st_mode
    assert mode & 0o077 == 0
    assert read_secret(None) != read_secret(None)


def test_health_is_told_to_everybody_and_nothing_else_is(lab: Lab) -> None:
    stranger = Browser(lab.app)
    assert stranger.get("/health").json() == {"status": "ok"}
    answer = stranger.get("/")
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert "salt" not in answer.text
