"""The pages of the site that are written from the code when it is built."""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import fire_core
from docs.tools.commands import commands_to_markdown
from docs.tools.schema import schema_to_markdown
from fire_core.config.interfaces import INTERFACES
from fire_core.config.load import config_schema, study_schema
from fire_core.config.presets import PRESETS
from fire_core.properties.load import property_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTE: Final = (
    "This page is written from the code when the site is built. A key that is not here "
    "is refused, with the nearest name that is."
)


def configuration_page() -> str:
    """Return the reference of campaign files."""
    theories = ", ".join(f"`{name}`" for name in PRESETS)
    interfaces = ", ".join(f"`{name}`" for name in INTERFACES)
    return f"""# Campaign file

{NOTE} `fire config check FILE` checks a file, `fire config schema` prints the same as
JSON schema. Relative paths are taken from the folder of the file.

Two keys have short forms. `theory: NAME`, or `theory: {{preset: NAME, KEY: VALUE}}`,
takes a named theory level: {theories}. `system: {{preset: NAME}}` takes a named
interface: {interfaces}.

{schema_to_markdown(config_schema())}"""


def study_page() -> str:
    """Return the reference of study files."""
    return f"""# Study file

{NOTE} `fire study check FILE` checks a file, `fire study schema` prints the JSON
schema. What a study is for is in [Compare trainings](../howto/study.md).

{schema_to_markdown(study_schema())}"""


def property_page() -> str:
    """Return the reference of property files."""
    return f"""# Property file

{NOTE} `fire properties run FILE` measures, `fire properties schema` prints the JSON
schema. What each kind computes is in [Properties](../properties/README.md).

{schema_to_markdown(property_schema())}"""


def commands_page() -> str:
    """Return the reference of the console commands."""
    return f"""# Commands

This page is written from the code when the site is built. `--help` after any command
prints the same. An expected error is one message and exit status 1.

{commands_to_markdown()}
"""


def library_page() -> str:
    """Return the reference of the public names of `fire_core`."""
    found = {name: getattr(fire_core, name) for name in fire_core.__all__}
    classes = {n: o for n, o in found.items() if inspect.isclass(o)}
    errors = {n: o for n, o in classes.items() if issubclass(o, Exception)}
    records = {n: o for n, o in classes.items() if n not in errors}
    functions = {n: o for n, o in found.items() if n not in classes}
    return f"""# Python

This page is written from the code when the site is built. These names can be imported
from `fire_core` and keep their meaning between releases; everything else may move.
`help(NAME)` has arguments, units and errors; the README shows how a model is used.

## Functions

{_names(functions)}

## Records and settings

{_names(records)}

## Errors

{_names(errors)}
"""


def _names(members: Mapping[str, object]) -> str:
    rows = [f"| `{name}` | {_first_line(member)} |" for name, member in members.items()]
    return "\n".join(["| name | |", "|---|---|", *rows])


def _first_line(member: object) -> str:
    return (inspect.getdoc(member) or "").splitlines()[0].replace("|", "\\|")


GENERATED: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "reference/configuration.md": configuration_page,
        "reference/study.md": study_page,
        "reference/property.md": property_page,
        "reference/commands.md": commands_page,
        "reference/python.md": library_page,
    }
)
