"""`fire people`: the file says who may enter; every mistake is one clear message."""

from __future__ import annotations

import getpass
import json
import stat
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from dashboard.access.people import People
from dashboard.access.roles import Role
from dashboard.access.tokens import read_secret, read_token
from fire_core.config.environment import DASHBOARD_PEOPLE
from fire_core.errors import ConfigError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people"


def fire(*words: str, given: str = "", file: Path) -> Result:
    environment = {DASHBOARD_PEOPLE: str(file), "COLUMNS": "200"}
    runner = CliRunner(env=environment)
    return runner.invoke(app, ["people", *words], input=given)


def test_a_person_is_entered_listed_and_removed(file: Path) -> None:
    done = fire(
        "add", "ada", "--role", "member", "--password-stdin",
        given="correct horse\n", file=file,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert fire("add", "grace", "--no-password", file=file).exit_code == 0
    rows = json.loads(fire("list", "--json", file=file).stdout)
    assert rows == [
        {"name": "ada", "role": "member", "password": True},
        {"name": "grace", "role": "viewer", "password": False},
    ]
    people = People(file)
    assert people.check("ada", "correct horse") is not None
    assert people.check("grace", "-") is None
    assert "correct horse" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert fire("remove", "ada", file=file).exit_code == 0
    assert [p.name for p in people.all()] == ["grace"]


def test_a_person_gets_another_role(file: Path) -> None:
    fire("add", "ada", "--no-password", file=file)
    fire("add", "ada", "--no-password", "--role", "operator", file=file)
    assert [(p.name, p.role) for p in People(file).all()] == [("ada", Role.OPERATOR)]


def test_the_password_is_asked_for_twice_without_echo(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(text: str, **options: bool) -> str:
        asked.append((text, options))
        return "correct horse"

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.setattr("cli.people.is_terminal", lambda: True)
    assert fire("add", "ada", file=file).exit_code == 0
    ((_, options),) = asked
    assert options == {"hide_input": True, "confirmation_prompt": True}
    assert People(file).check("ada", "correct horse") is not None


@pytest.mark.parametrize(
    ("words", "given", "why"),
    [
        (["add", "a:b", "--no-password"], "", "expected a name of letters"),
        (["add", "ada", "--password-stdin"], "short\n", "at least 8 characters"),
        (["add", "ada"], "", "pipe it in with --password-stdin"),
        (["add", "ada", "--no-password", "--password-stdin"], "", "exclude each other"),
        (["remove", "ada"], "", "no 'ada' in .*; there: nobody"),
        (["token", "ada"], "", "fire people add ada --no-password"),
    ],
)
def test_a_mistake_is_told(words: list[str], given: str, why: str, file: Path) -> None:
    error = fire(*words, given=given, file=file).exception
    with pytest.raises(ConfigError, match=why):
        raise error or AssertionError
    assert not file.exists()


def test_a_token_is_the_persons_until_its_day(file: Path) -> None:
    fire("add", "ada", "--no-password", file=file)
    token = fire("token", "ada", "--days", "2", file=file).stdout.strip()
    assert read_token(read_secret(file), token) == "ada"
    assert token not in file.read_text()


def test_a_retry_on_the_console_is_recorded(tmp_path: Path) -> None:
    url, blobs = f"sqlite:///{tmp_path}/fire.db", str(tmp_path / "blobs")
    options = ["--cause", "crashed", "--db", url, "--blobs", blobs]
    done = CliRunner().invoke(app, ["label", "retry", "abc", *options])
    assert done.stdout.strip() == "0 labels are wanted again"
    with Store.open(url, blobs) as store:
        (row,) = store.actions.list()
    assert (row.action.actor, row.action.role) == (getpass.getuser(), "console")
    assert (row.action.action, row.action.subject) == ("retry", "abc crashed")
