"""Read a property file; explain key by key what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fire_core.config.interfaces import expand_system
from fire_core.config.load import (
    read_mapping,
    resolve_paths,
    structure_files,
    validate_config,
)
from fire_core.properties.request import PropertyRequest

if TYPE_CHECKING:
    from pathlib import Path


def load_property(path: Path) -> PropertyRequest:
    """Return the measurement described by a YAML file; see `load_campaign`.

    Relative paths of structures and of the model are resolved against its folder.
    """
    hint = "`fire properties schema` prints what is allowed"
    raw = read_mapping(path, "property", f"(name, system, measure, …); {hint}")
    return parse_property(raw, origin=str(path), base=path.parent)


def parse_property(
    raw: dict[str, Any], *, origin: str = "property", base: Path | None = None
) -> PropertyRequest:
    """Validate a mapping; see `load_property`."""
    if "system" in raw:
        raw = raw | {"system": expand_system(raw["system"])}
    request = validate_config(PropertyRequest, raw, origin)
    if base is None:
        return request
    data = request.model_dump(exclude_unset=True)
    system = data.get("system")
    holders = [] if system is None else structure_files(system)
    holders += [(data.get("backbone") or {}, "name")]
    resolve_paths(holders, base, system or {})
    data["measure"] = request.measure.resolve_files(base)
    return PropertyRequest.model_validate(data)


def property_schema() -> dict[str, Any]:
    """Return the JSON schema of a property file, with every kind that is installed."""
    return PropertyRequest.model_json_schema()
