"""`fire people`: who may enter the dashboard, and as what."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import AsJson
from dashboard.access.roles import Role
from fire_core.config.environment import DASHBOARD_PEOPLE
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from dashboard.access.people import People

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name with which the person signs in.")]
File = Annotated[
    Path,
    typer.Option(
        "--file", envvar=DASHBOARD_PEOPLE, help="Password file of the dashboard."
    ),
]
DEFAULT_FILE = Path(".fire/people")


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.VIEWER,
    no_password: Annotated[
        bool,
        typer.Option("--no-password", help="Sign in by a proxy or a token only."),
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password's line from stdin."),
    ] = False,
    file: File = DEFAULT_FILE,
) -> None:
    """Enter a person, or give one another role and password.

    A viewer looks, a member also approves and retries labels, an operator also
    promotes models. A dashboard that runs sees the change at its next request.
    """
    if no_password and password_stdin:
        msg = "--no-password and --password-stdin exclude each other: give one"
        raise ConfigError(msg)
    password = None if no_password else _read_password(from_stdin=password_stdin)
    _open(file).put(name, role, password)
    typer.echo(f"{name} is a {role.value}; `fire dashboard --people {file}` knows them")


@app.command()
def remove(name: Name, file: File = DEFAULT_FILE) -> None:
    """Forget a person; their sessions and tokens end at once."""
    _open(file).remove(name)
    typer.echo(f"{name} is no longer in {file}")


@app.command("list")
def list_people(file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """List everybody with their role and whether they have a password."""
    from dashboard.access.people import NO_PASSWORD

    people = _open(file).all()
    rows = [(p.name, p.role.value, p.hash != NO_PASSWORD) for p in people]
    if as_json:
        keys = ("name", "role", "password")
        typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    table = Table("name", "role", "password")
    for name, role, has_password in rows:
        table.add_row(name, role, "yes" if has_password else "no")
    Console().print(table if rows else f"nobody in {file}; see `fire people add`")


@app.command()
def token(
    name: Name,
    days: Annotated[
        float, typer.Option(min=0.01, max=3660, help="Until it ends.")
    ] = 30.0,
    file: File = DEFAULT_FILE,
) -> None:
    """Print a token with which a script is that person: `Authorization: Bearer TOKEN`.

    It is shown once and kept nowhere; it ends with its days or with the person.
    """
    from dashboard.access.tokens import make_token, read_secret

    people = _open(file)
    if people.get(name) is None:
        there = ", ".join(person.name for person in people.all()) or "nobody"
        msg = (
            f"no {name!r} in {file} (there: {there}); enter them first with `fire "
            f"people add {name} --no-password`"
        )
        raise ConfigError(msg)
    typer.echo(make_token(read_secret(file), name, days))


def _open(file: Path) -> People:
    """Open the file; the hashes' library loads here, not for every other command."""
    from dashboard.access.people import People

    return People(file)


def is_terminal() -> bool:
    """Return whether somebody can be asked."""
    return sys.stdin.isatty()


def _read_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not is_terminal():
        msg = (
            "no terminal to ask for the password: pipe it in with --password-stdin, "
            "or give --no-password"
        )
        raise ConfigError(msg)
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
