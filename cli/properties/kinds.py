"""`fire properties measure` and `kinds`: any kind of property, by its settings."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import PydanticUndefined, to_json
from rich import box
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.options import (
    Asked,
    RequestName,
    Results,
    Settings,
    Threads,
    crystal_or_file,
    make_request,
    plain_name,
    read_settings,
)
from fire_core.config.interfaces import INTERFACES
from fire_core.properties.kinds import KINDS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from fire_core.properties.settings import PropertySettings


def measure_kind(  # noqa: PLR0913 - one parameter for each option
    kind: Annotated[
        str, typer.Argument(help="Kind of property (`fire properties kinds`).")
    ],
    structure: Annotated[
        str | None,
        typer.Argument(
            help="A crystal (`fire system list`), a structure file, or a named "
            "interface; left out where the kind is of none."
        ),
    ] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(help="Foundation model, file, or CAMPAIGN/MODEL; else fire-mini."),
    ] = None,
    repeat: Annotated[
        tuple[int, int, int], typer.Option(help="Repeats of the crystal's cell.")
    ] = (1, 1, 1),
    setting: Settings = None,
    seed: Annotated[int, typer.Option(help="Source of every random number.")] = 0,
    name: RequestName = None,
    threads: Threads = 0,
    results: Results = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Measure any kind of property; its settings are given by `--set KEY=VALUE`."""
    from cli.properties import running

    system: dict[str, Any] | None = None
    if structure is not None:
        system = {"preset": structure}
        if structure not in INTERFACES:
            system = crystal_or_file(structure, repeat)
    made = plain_name(*(word for word in (structure, model, kind) if word))
    asked = Asked(name or made, system, model, threads, db, blobs, results, seed)
    measure = {"kind": kind} | read_settings(setting or [])
    running.measure(make_request(asked, measure), as_json=as_json)


def list_kinds(
    kind: Annotated[
        str | None, typer.Argument(help="Show the settings of this kind.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of property that are installed, or the settings of one."""
    lines = _describe_kinds() if kind is None else _describe(KINDS.load(kind).settings)
    if as_json:
        typer.echo(json.dumps(lines))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in lines[0]:
        table.add_column(head, overflow="fold", no_wrap=head == next(iter(lines[0])))
    for line in lines:
        table.add_row(*line.values())
    Console(markup=False, highlight=False).print(table)


def _describe_kinds() -> list[dict[str, str]]:
    return [
        {"kind": name, "measures": inspect.getdoc(KINDS.load(name).settings) or ""}
        for name in KINDS.names()
    ]


def _describe(settings: type[PropertySettings]) -> list[dict[str, str]]:
    return [
        {
            "setting": name,
            "default": _default(field),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in settings.model_fields.items()
        if name != "kind"
    ]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return "required" if value is PydanticUndefined else to_json(value).decode()
