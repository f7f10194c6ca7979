"""Write the reference of the console commands from the Typer application itself."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import typer.main

from cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator


NAMES: Final = {int: "integer", float: "number", str: "text", Path: "path"}


def commands_to_markdown() -> str:
    """Return a section for every command, with its arguments and options."""
    root = typer.main.get_command(app)
    leaves = sorted(_leaves(root), key=lambda leaf: leaf[0])
    return "\n\n".join(_section(words, command) for words, command in leaves)


def _leaves(command: Any, words: tuple[str, ...] = ("fire",)) -> Iterator[Any]:
    """Yield (words, command) of everything that can be run."""
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        yield from _leaves(child, (*words, name))


def _section(words: tuple[str, ...], command: Any) -> str:
    about = _clean(command.help or "")
    table = _table([p for p in command.params if not getattr(p, "hidden", False)])
    return "\n\n".join(part for part in (f"## {' '.join(words)}", about, table) if part)


def _table(parameters: list[Any]) -> str:
    if not parameters:
        return "It takes no arguments."
    lines = ["| argument or option | type | default | meaning |", "|---|---|---|---|"]
    for parameter in parameters:
        cells = (_name(parameter), _type(parameter), _default(parameter))
        meaning = _clean(getattr(parameter, "help", None) or "") or "–"
        row = (*cells, meaning + _variable(parameter))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    names = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(f"`{name}`" for name in names)


def _type(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if getattr(parameter, "is_flag", False):
        return "switch"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{choice.value}`" for choice in kind)
    parts = get_args(kind)
    name = NAMES.get(parts[0] if parts else kind, "text")
    if parameter.nargs > 1:
        return f"{parameter.nargs} × {name}"
    is_repeated = parameter.multiple or parameter.nargs == -1
    return f"{name}, repeatable" if is_repeated else name


def _default(parameter: Any) -> str:
    if parameter.required:
        return "**required**"
    value = getattr(parameter.default, "value", parameter.default)
    if value is None or value is False or callable(value) or value in ("", (), []):
        return "–"
    shown = " ".join(map(str, value)) if isinstance(value, tuple | list) else value
    return f"`{shown}`"


def _variable(parameter: Any) -> str:
    variable = getattr(parameter, "envvar", None)
    return f" Else the environment variable `{variable}`." if variable else ""


def _clean(text: str) -> str:
    lines = inspect.cleandoc(text.replace("\f", "")).split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", line).strip() for line in lines)
