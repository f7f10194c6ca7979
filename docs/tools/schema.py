"""Turn a JSON schema into a page: every key, its type, default, limits and meaning."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

Schema = dict[str, Any]

PLAIN: Final = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
}
LIMITS: Final = {
    "exclusiveMinimum": "> {}",
    "minimum": "≥ {}",
    "exclusiveMaximum": "< {}",
    "maximum": "≤ {}",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one schema; remembers where each shared part is used.

    Attributes
    ----------
    parts
        The schema's `$defs` by name.
    places
        For each part, the dotted keys at which it stands.
    """

    parts: dict[str, Schema]
    places: dict[str, list[str]] = field(default_factory=dict)


def schema_to_markdown(schema: Schema) -> str:
    """Return one section for the top level and one for each part, in reading order."""
    reader = Reader(schema.get("$defs", {}))
    _visit(reader, schema, "")
    sections = ["## Top level\n\n" + _table(reader, schema)]
    sections += [_section(reader, name) for name in reader.places]
    return "\n\n".join(sections) + "\n"


def anchor(name: str) -> str:
    """Return the anchor of a part's section."""
    return f"part-{name.lower()}"


def describe_type(node: Schema) -> str:
    """Return a property's type as a person writes it; parts are links."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        return f"[{_title(name)}](#{anchor(name)})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            return " or ".join(dict.fromkeys(describe_type(n) for n in node[key]))
    values = [node["const"]] if "const" in node else node.get("enum", ())
    if values:
        return ", ".join(f"`{_value(value)}`" for value in values)
    return _by_name(node) + _limits(node)


def _by_name(node: Schema) -> str:
    """Return the type of a node that names it: a list, a mapping, a plain value."""
    kind = node.get("type", "")
    if kind == "array":
        return _array(node)
    if kind == "object":
        inner = node.get("additionalProperties")
        what = describe_type(inner) if isinstance(inner, dict) else "anything"
        return f"names, each with: {what}"
    return PLAIN.get(kind, "anything")


def _visit(reader: Reader, node: Schema, path: str) -> None:
    """Walk every property in order and note at which keys each part stands."""
    for key, child in node.get("properties", {}).items():
        place = f"{path}.{key}" if path else key
        for name in _references(child):
            seen = reader.places.setdefault(name, [])
            if place in seen:
                continue
            seen.append(place)
            _visit(reader, reader.parts[name], place)


def _references(node: Any) -> list[str]:
    """Return the parts that a property may hold, in order."""
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    if "$ref" in node:
        return [node["$ref"].rsplit("/", 1)[-1]]
    inner = [v for k, v in node.items() if k not in {"default", "discriminator"}]
    return _references(inner)


def _section(reader: Reader, name: str) -> str:
    part = reader.parts[name]
    where = ", ".join(f"`{place}`" for place in reader.places[name])
    about = _clean(part.get("description", ""))
    head = f"## {_title(name)} {{ #{anchor(name)} }}"
    table = _table(reader, part) if "properties" in part else describe_type(part)
    return f"{head}\n\n{about}\n\nStands at {where}.\n\n{table}"


def _table(reader: Reader, node: Schema) -> str:
    required = set(node.get("required", ()))
    lines = ["| key | type and limits | default | meaning |", "|---|---|---|---|"]
    for key, child in node.get("properties", {}).items():
        default = "**required**" if key in required else _default(reader, child)
        cells = (f"`{key}`", describe_type(child), default, _meaning(reader, child))
        escaped = (cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines)


def _meaning(reader: Reader, node: Schema) -> str:
    """Return what a key says of itself, else what its only part says."""
    names = set(_references(node))
    if "description" in node or len(names) != 1:
        return _clean(node.get("description", "")) or "–"
    return _clean(reader.parts[names.pop()].get("description", "")) or "–"


def _default(reader: Reader, node: Schema) -> str:
    if "default" not in node:
        is_names = node.get("type") == "object"
        return "`{}`" if is_names else "left out"
    value = node["default"]
    if not isinstance(value, dict) or not _references(node):
        return f"`{_value(value)}`" if value != "" else "empty"
    return _differences(reader, value, _references(node)) or "its own defaults"


def _differences(reader: Reader, value: Schema, names: list[str]) -> str:
    """Return what the default of a part says beside the part's own defaults."""
    if "kind" in value:
        return f"`kind: {value['kind']}`"
    own = reader.parts[names[0]].get("properties", {})
    changed = {k: v for k, v in value.items() if own[k].get("default", v) != v}
    return ", ".join(f"`{k}: {_value(v)}`" for k, v in changed.items())


def _array(node: Schema) -> str:
    if "prefixItems" in node:
        return "[" + ", ".join(describe_type(n) for n in node["prefixItems"]) + "]"
    inner = describe_type(node.get("items", {}))
    return f"list of {inner}"


def _limits(node: Schema) -> str:
    if "prefixItems" in node:
        return ""
    found = [text.format(_value(node[k])) for k, text in LIMITS.items() if k in node]
    if "pattern" in node:
        found.append(f"matches `{node['pattern']}`")
    return f", {', '.join(found)}" if found else ""


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    """Return a docstring as one line of Markdown, without lists of attributes."""
    kept = re.split(r"\n\s*(?:Attributes|Notes)\n", text)[0]
    return re.sub(r"\s+", " ", kept).strip()


def _title(name: str) -> str:
    """Return a class's name in words: `SurvivalConfig` is `survival`."""
    stem = name.removesuffix("Config")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", stem).lower()
