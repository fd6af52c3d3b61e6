"""Whether what a writer may write is within a reader's bounds, apart from its parts. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from stream_app.contracts.forms import Schema
from stream_app.contracts.keywords import TYPES

_TEXT, _LIST, _OBJECT = "string", "array", "object"
_COUNTS: Final = (
    (_TEXT, "minLength", "maxLength"),
    (_LIST, "minItems", "maxItems"),
    (_OBJECT, "minProperties", "maxProperties"),
)
_NUMERIC: Final = frozenset({"number", "integer"})


def types_of(schema: Schema) -> frozenset[str]:
    """The types that a schema allows; a number may be an integer.

    >>> sorted(types_of({"type": "number"})), sorted(types_of({"enum": ["a", None]}))
    (['integer', 'number'], ['null', 'string'])
    """
    given = schema.get("type")
    if given is None:
        values = _listed(schema)
        return TYPES if values is None else frozenset(map(_type_of, values))
    types = {given} if isinstance(given, str) else set(given)
    return frozenset(types | ({"integer"} if "number" in types else set()))


def out_of_bounds(w: Schema, r: Schema) -> Iterator[str]:
    """Why a value that `w` allows may not be one that `r` allows, apart from its type and parts."""
    written = types_of(w)
    yield from _unknown_values(w, r)
    if written & _NUMERIC:
        yield from _numbers(w, r)
    for type_, least, most in _COUNTS:
        if type_ in written:
            yield from _counts(w, r, type_, least, most)
    if _TEXT in written:
        for key in ("pattern", "format"):
            if key in r and w.get(key) != r[key]:
                yield f"{key} {r[key]!r} is asked for, and {w.get(key, 'none')!r} kept"


def _type_of(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    names = {bool: "boolean", int: "integer", float: "number", str: _TEXT, list: _LIST}
    return "null" if value is None else names.get(type(value), _OBJECT)


def _listed(schema: Schema) -> list[Any] | None:
    """The values that a schema lists; None when it lists none."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _unknown_values(w: Schema, r: Schema) -> Iterator[str]:
    for key in ("enum", "const"):
        if key not in r:
            continue
        known = {_json(value) for value in (r[key] if key == "enum" else [r[key]])}
        values = _listed(w)
        if values is None:
            yield f"anything is written, and only {', '.join(sorted(known))} read"
        elif new := {_json(value) for value in values} - known:
            yield f"{', '.join(sorted(new))} is written, and not read"


def _json(value: Any) -> str:
    """As text, in which 1 and 1.0 are the same and true is another."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _numbers(w: Schema, r: Schema) -> Iterator[str]:
    for name, sign, words in (("minimum", 1, "from"), ("maximum", -1, "up to")):
        written, read = _lowest(w, name, sign), _limit(r, name, sign)
        if written < read:
            there, here = _told(written, sign), _told(read, sign)
            yield f"numbers {words} {there} are written, and {words} {here} read"


def _lowest(schema: Schema, name: str, sign: int) -> tuple[float, bool]:
    """The lowest number that a schema allows: of those that it lists, or its bound."""
    values = _listed(schema)
    if values is None:
        return _limit(schema, name, sign)
    numbers = [sign * value for value in values if _type_of(value) in _NUMERIC]
    return min(numbers, default=math.inf), False


def _limit(schema: Schema, name: str, sign: int) -> tuple[float, bool]:
    """The bound of a side, mirrored for the upper one, and whether it is itself excluded."""
    exclusive = f"exclusive{name.capitalize()}"
    given = [(sign * schema[name], False)] if name in schema else []
    given += [(sign * schema[exclusive], True)] if exclusive in schema else []
    return max(given, default=(-math.inf, False))


def _told(limit: tuple[float, bool], sign: int) -> str:
    bound, excluded = limit
    if math.isinf(bound):
        return "any"
    return f"{sign * bound:.15g}{' (itself not)' if excluded else ''}"


def _counts(w: Schema, r: Schema, type_: str, least: str, most: str) -> Iterator[str]:
    values = _listed(w)
    fewest, largest = w.get(least, 0), w.get(most, math.inf)
    if values is not None:
        sizes = [len(value) for value in values if _type_of(value) == type_]
        fewest, largest = min(sizes, default=math.inf), max(sizes, default=0)
    if fewest < r.get(least, 0):
        yield f"{least} {fewest} is kept, and {r[least]} asked for"
    if largest > r.get(most, math.inf):
        yield f"{most} {largest} is kept, and {r[most]} asked for"
