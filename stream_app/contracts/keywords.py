"""The keywords of JSON Schema that the comparison understands; any other is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stream_app.contracts.forms import Schema
from stream_app.errors import ContractError

ANNOTATIONS: Final = frozenset({"$schema", "title", "description", "examples", "default"})
"""Keywords that refuse nothing."""
CONDITIONS: Final = ("if", "then", "else", "not")
TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_ANY: Final = (object,)
_NUMBER: Final = (int, float)
_SCHEMA: Final = (dict, bool)
_FORMS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(ANNOTATIONS, _ANY),
    **dict.fromkeys(CONDITIONS, _SCHEMA),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), (int,)),
    **dict.fromkeys(("minProperties", "maxProperties"), (int,)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    **dict.fromkeys(("additionalProperties", "additionalItems", "propertyNames"), _SCHEMA),
    "type": (str, list),
    "enum": (list,),
    "const": _ANY,
    "pattern": (str,),
    "format": (str,),
    "required": (list,),
    "properties": (dict,),
    "items": (dict, bool, list),
}
"""Which Python types a keyword's value may have."""


def require_known(schema: Any, place: str) -> None:
    """Return if a schema uses only keywords that the comparison understands.

    Raises:
        ContractError: another keyword, or a value that is none of the keyword's.

    >>> require_known({"type": "object", "properties": {"a": {"$ref": "#/b"}}}, "tick")
    Traceback (most recent call last):
        ...
    stream_app.errors.ContractError: tick.a: keyword '$ref' cannot be compared; write the schema out
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise ContractError(f"{place}: {str(schema)[:80]!r} is no JSON Schema")
    for key, value in schema.items():
        if key not in _FORMS:
            raise ContractError(
                f"{place}: keyword {key!r} cannot be compared; write the schema out"
            )
        if not _fits(value, _FORMS[key]):
            raise ContractError(f"{place}: {key}={str(value)[:80]!r} is no value of this keyword")
    types = schema.get("type", [])
    for name in [types] if isinstance(types, str) else types:
        if not isinstance(name, str) or name not in TYPES:
            allowed = ", ".join(sorted(TYPES))
            raise ContractError(f"{place}: type={str(name)[:80]!r}: allowed are {allowed}")
    for name, part in _parts(schema):
        require_known(part, f"{place}{name}")
    for key in CONDITIONS:
        require_known(schema.get(key, True), place)
    require_known(schema.get("propertyNames", True), place)


def _fits(value: Any, types: tuple[type, ...]) -> bool:
    """Whether a value has one of the types; true and false are no numbers."""
    return isinstance(value, types) and not (isinstance(value, bool) and types in {(int,), _NUMBER})


def _parts(schema: Schema) -> Iterator[tuple[str, Any]]:
    """The schemas of what an object or a list holds, with their places such as `.a` or `[]`."""
    for name, item in schema.get("properties", {}).items():
        yield f".{name}", item
    yield ".*", schema.get("additionalProperties", True)
    items = schema.get("items", True)
    for item in items if isinstance(items, list) else [items]:
        yield "[]", item
    yield "[]", schema.get("additionalItems", True)


def bare(schema: Any) -> Any:
    """A schema without its annotations, to compare two as they are.

    >>> bare({"const": 1, "description": "one"}) == bare({"const": 1})
    True
    """
    if not isinstance(schema, dict):
        return schema
    out: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: bare(item) for name, item in value.items()}
        elif key not in ANNOTATIONS:
            out[key] = [bare(item) for item in value] if isinstance(value, list) else bare(value)
    return out
