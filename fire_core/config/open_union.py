"""A choice among settings whose variants are found when they are asked for.

A discriminated union of pydantic has to know its variants when it is written. This one
takes them from a registry, so that a package which is installed adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticKnownError, SchemaValidator, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

TAG: Final = "kind"
"""Key that says which variant it is."""


@dataclass(frozen=True, slots=True)
class OpenUnion:
    """Annotation of a field: validate it by the variant that its `kind` names.

    Attributes
    ----------
    names
        Returns the name of every variant.
    settings
        Returns the model of one; its field `kind` is a literal, the name.
    """

    names: Callable[[], list[str]]
    settings: Callable[[str], type[BaseModel]]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return how pydantic validates and writes the field."""
        del source, handler  # the variants have schemas of their own
        return core_schema.no_info_plain_validator_function(
            self.validate, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema: one of all variants that are there now."""
        del schema
        return handler(_union({name: self.settings(name) for name in self.names()}))

    def validate(self, value: Any) -> BaseModel:
        """Return a mapping as the variant that it names; a variant as it is."""
        is_model = isinstance(value, BaseModel)
        kind = getattr(value, TAG, None) if is_model else _tag_of(value)
        names = self.names()
        if kind not in names:
            expected = ", ".join(repr(name) for name in names)
            raise PydanticKnownError(
                "union_tag_invalid",
                {"discriminator": f"'{TAG}'", "tag": str(kind)}
                | {"expected_tags": expected},
            )
        found: BaseModel = _validator_of(self.settings(kind), kind).validate_python(
            value
        )
        return found


def _tag_of(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticKnownError("dict_type")
    if TAG not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": f"'{TAG}'"})
    return value[TAG]


@cache
def _validator_of(settings: type[BaseModel], kind: str) -> SchemaValidator:
    """Return a union of one variant: its errors begin with the variant's name."""
    return SchemaValidator(_union({kind: settings}))


def _union(variants: Mapping[str, type[BaseModel]]) -> core_schema.CoreSchema:
    choices: dict[Any, core_schema.CoreSchema] = {
        kind: settings.__pydantic_core_schema__ for kind, settings in variants.items()
    }
    return core_schema.tagged_union_schema(choices, TAG)
