"""Fields whose variants or values are the members of an open set.

Both are markers of `typing.Annotated`. Members are looked up when a value is validated
or a schema is asked for, so that importing the configuration imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import PydanticKnownError, SchemaValidator, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

    from fire_core.extensions import Registry

TAG = "kind"


@dataclass(frozen=True, slots=True)
class VariantOf:
    """Settings of any member of an open set, told apart by their key `kind`.

    Attributes
    ----------
    members
        The set. What its names lead to has an attribute `settings`, a model whose
        `kind` is a literal of that name.
    own
        Models of FIRE's own members by name, which are not looked up.
    """

    members: Registry[Any]
    own: Mapping[str, type[BaseModel]]

    def __hash__(self) -> int:
        """Return a hash of the set's name."""
        return hash(self.members.group)

    def names(self) -> list[str]:
        """Return every `kind` that is accepted."""
        return self.members.names()

    def model(self, name: str) -> type[BaseModel]:
        """Return the settings of a member; see `Registry.load` for what it raises."""
        if name in self.own:
            return self.own[name]
        found: type[BaseModel] = self.members.load(name).settings
        return found

    def models(self) -> Iterator[type[BaseModel]]:
        """Yield the settings of every member."""
        yield from map(self.model, self.names())

    def validate(self, value: Any) -> BaseModel:
        """Return a mapping, or settings that are validated already, as settings."""
        name = value.get(TAG) if isinstance(value, dict) else getattr(value, TAG, None)
        if name is None:
            if isinstance(value, dict):
                raise PydanticKnownError("union_tag_not_found", {"discriminator": TAG})
            raise PydanticKnownError("model_type", {"class_name": self.members.what})
        if name not in self.members:
            tags = ", ".join(f"'{known}'" for known in self.names())
            context = {"discriminator": TAG, "tag": str(name), "expected_tags": tags}
            raise PydanticKnownError("union_tag_invalid", context)
        validated: BaseModel = _validator(self.model(name), name)(value)
        return validated

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the schema by which pydantic validates such a field."""
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema: one variant for each member."""
        variants: Any = Union[tuple(self.models())]  # noqa: UP007 - made of a list
        union: Any = Annotated[variants, Field(discriminator=TAG)]
        return handler(TypeAdapter(union).core_schema)


@cache
def _validator(model: type[BaseModel], name: str) -> Callable[[Any], Any]:
    """Return a validator whose errors are told under the name of the variant."""
    schema: Any = model.__pydantic_core_schema__
    definitions = []
    if schema["type"] == "definitions":
        schema, definitions = schema["schema"], schema["definitions"]
    tagged: Any = core_schema.tagged_union_schema({name: schema}, TAG)
    if definitions:
        tagged = core_schema.definitions_schema(tagged, definitions)
    return SchemaValidator(tagged).validate_python


@dataclass(frozen=True, slots=True)
class NameOf:
    """The name of a member of an open set.

    Attributes
    ----------
    members
        The set.
    """

    members: Registry[Any]

    def __hash__(self) -> int:
        """Return a hash of the set's name."""
        return hash(self.members.group)

    def validate(self, name: str) -> str:
        """Return a name that is one."""
        if name not in self.members:
            *most, last = (f"'{known}'" for known in self.members.names())
            expected = f"{', '.join(most)} or {last}"
            raise PydanticKnownError("literal_error", {"expected": expected})
        return name

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the schema by which pydantic validates such a field."""
        return core_schema.no_info_after_validator_function(
            self.validate, core_schema.str_schema()
        )

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema: the names that there are."""
        return {"enum": self.members.names(), "type": "string"}
