"""Read a campaign or study file; explain key by key what is wrong."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from fire_core.config.campaign import CampaignConfig
from fire_core.config.interfaces import expand_system
from fire_core.config.presets import expand_theory
from fire_core.config.retired import PARENTS, RETIRED
from fire_core.config.study import StudyConfig
from fire_core.config.variants import VariantOf
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from pydantic_core import ErrorDetails

Config = TypeVar("Config", bound=BaseModel)

MERGE: Final = "tag:yaml.org,2002:merge"
EXPECTED = {
    "greater_than": "a value greater than {gt}",
    "greater_than_equal": "a value of at least {ge}",
    "less_than": "a value below {lt}",
    "less_than_equal": "a value of at most {le}",
    "literal_error": "one of {expected}",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} entries",
    "missing": "a value: the key is required",
    **dict.fromkeys(("float_parsing", "float_type"), "a number, without its unit"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list, such as [300, 600]"),
    **dict.fromkeys(("dict_type", "model_type"), "keys of its own, one to a line"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    "string_type": "text",
    "union_tag_invalid": "`kind` to be one of {expected_tags}",
    "union_tag_not_found": "a key `kind` that says which variant this is",
}


class UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, which takes a key that is there twice for a mistake."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        """Build a mapping, or say where its second key of one name is."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != MERGE:
                what = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(
                    None, None, what, key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_campaign(path: Path) -> CampaignConfig:
    """Return the campaign described by a YAML file.

    Relative paths of structure files, CIFs and replay sources are resolved
    against the folder of the campaign file.

    Raises
    ------
    ConfigError
        The file is missing, not YAML, or breaks the schema; the message lists
        every problem with its place, what was expected and what came.
    """
    hint = "`fire config schema` prints what is allowed"
    raw = read_mapping(path, "campaign", f"(name, system, …); {hint}")
    return parse_campaign(raw, origin=str(path), base=path.parent)


def load_study(path: Path) -> StudyConfig:
    """Return the study described by a YAML file; see `load_campaign`.

    Relative paths of data, of replay sources and of the backbone are resolved
    against the folder of the study file.
    """
    hint = "`fire study schema` prints what is allowed"
    raw = read_mapping(path, "study", f"(name, data, test, variants, …); {hint}")
    return parse_study(raw, origin=str(path), base=path.parent)


def parse_campaign(
    raw: dict[str, Any], *, origin: str = "campaign", base: Path | None = None
) -> CampaignConfig:
    """Validate a mapping; see `load_campaign`."""
    if "theory" in raw:
        raw = raw | {"theory": expand_theory(raw["theory"])}
    if "system" in raw:
        raw = raw | {"system": expand_system(raw["system"])}
    config = validate_config(CampaignConfig, raw, origin)
    return config if base is None else _resolve_campaign(config, base)


def parse_study(
    raw: dict[str, Any], *, origin: str = "study", base: Path | None = None
) -> StudyConfig:
    """Validate a mapping; see `load_study`."""
    config = validate_config(StudyConfig, raw, origin)
    return config if base is None else _resolve_study(config, base)


def structure_files(system: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return where a system names files."""
    if system["kind"] == "file":
        return [(system, "path")]
    if system["kind"] == "crystal":
        return [(system, "crystal")]
    return [(system[side], "crystal") for side in ("bottom", "top")]


def read_mapping(path: Path, what: str, keys: str) -> dict[str, Any]:
    """Return the YAML mapping in a file; `keys` says in an error what belongs in."""
    if not path.is_file():
        msg = f"no {what} file at {path} (looked from {Path.cwd()})"
        raise ConfigError(msg)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid YAML: {error}"
        raise ConfigError(msg) from error
    if not isinstance(raw, dict):
        msg = (
            f"{path} must hold a mapping with the keys of a {what} {keys}, "
            f"got {type(raw).__name__}"
        )
        raise ConfigError(msg)
    return raw


def validate_config(model: type[Config], raw: dict[str, Any], origin: str) -> Config:
    """Return the mapping as a model, or explain every mistake at once."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        items = error.errors()
        lines = [_explain(i, model) for i in items if not _is_echo(i, items)]
        count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
        msg = f"{origin}: {count}\n" + "\n".join(f"  - {line}" for line in lines)
        raise ConfigError(msg) from error


def config_to_json(config: CampaignConfig | StudyConfig) -> str:
    """Return the resolved configuration as canonical JSON."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a campaign file."""
    return CampaignConfig.model_json_schema()


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file."""
    return StudyConfig.model_json_schema()


def _resolve_campaign(config: CampaignConfig, base: Path) -> CampaignConfig:
    data = config.model_dump(exclude_unset=True)  # what is left out stays so
    holders = structure_files(data["system"])
    trainings = [data.get(step, {}) for step in ("pre_fine_tune", "fine_tune")]
    holders += [(training.get("replay", {}), "source") for training in trainings]
    holders.append((data.get("backbone", {}), "name"))
    resolve_paths(holders, base, data["system"])
    return CampaignConfig.model_validate(data)


def resolve_paths(
    holders: list[tuple[dict[str, Any], str]], base: Path, system: dict[str, Any]
) -> None:
    """Make paths absolute, in place: files that are there, and a system's own."""
    for holder, key in holders:
        if key not in holder:
            continue
        candidate = base / holder[key]
        if (holder is system and key == "path") or candidate.is_file():
            holder[key] = str(candidate.resolve())


def _resolve_study(config: StudyConfig, base: Path) -> StudyConfig:
    data = config.model_dump()
    for trajectory in data["data"]:
        trajectory["path"] = str((base / trajectory["path"]).resolve())
    trainings = [data["train"], *data["variants"].values()]
    holders = [(training["replay"], "source") for training in trainings]
    holders += [(data["backbone"], "name"), (data, "forgetting")]
    for holder, key in holders:
        if holder[key] is not None and (base / holder[key]).is_file():
            holder[key] = str((base / holder[key]).resolve())
    return StudyConfig.model_validate(data)


def _is_echo(item: ErrorDetails, items: Sequence[ErrorDetails]) -> bool:
    """Return whether an item only complains of what another mistake left it."""
    place = item["loc"]
    if item["type"] == "default_factory_not_called":
        return True
    return item["type"] == "too_short" and any(
        len(i["loc"]) > len(place) and i["loc"][: len(place)] == place for i in items
    )


def _explain(item: ErrorDetails, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "(top level)"
    got = item["input"]
    if item["type"] == "extra_forbidden":
        return _unknown_key(item["loc"], model)
    context = item.get("ctx", {})
    if item["type"] == "value_error":
        return f"{where}: {context['error']}"
    template = EXPECTED.get(item["type"])
    expected = template.format(**context) if template else item["msg"]
    if item["type"] == "missing":
        return f"{where}: expected {expected}"
    shown = repr(got)
    if len(shown) > 80:
        shown = shown[:77] + "…"
    return f"{where}: expected {expected}, got {shown}"


def _unknown_key(location: Sequence[int | str], model: type[BaseModel]) -> str:
    *parents, key = [str(part) for part in location]
    if key in RETIRED and set(parents) & set(PARENTS):
        return f"{'.'.join([*parents, key])}: no longer a setting; {RETIRED[key]}"
    known = sorted(set(_fields_at(model, parents)))
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    where = ".".join([*parents, key])
    return f"{where}: unknown key{hint} (known here: {', '.join(known)})"


def _fields_at(model: type[BaseModel], parents: list[str]) -> Iterator[str]:
    """Yield the field names of the model found by walking down `parents`."""
    if not parents:
        yield from model.model_fields
        return
    head, *rest = parents
    field = model.model_fields.get(head)
    if field is None:
        return
    if rest and get_origin(field.annotation) in {dict, tuple}:
        rest = rest[1:]  # the entry's name or number
    name = rest[0] if rest else ""
    for inner in _models_in((field.annotation, *field.metadata), name):
        tag = inner.model_fields.get("kind")
        if tag is not None and rest and name == tag.default:
            yield from _fields_at(inner, rest[1:])
        elif tag is None:
            yield from _fields_at(inner, rest)


def _models_in(annotation: Any, name: str) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation; of an open set the one of that name."""
    if isinstance(annotation, VariantOf):
        if name in annotation.members:
            yield annotation.model(name)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    parts = annotation if isinstance(annotation, tuple) else get_args(annotation)
    for part in parts:
        yield from _models_in(part, name)
