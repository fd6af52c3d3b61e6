"""The two forms of a schema: closed for writers of a message, open for its readers. Pure.

Only objects with named fields have two forms. A map, such as `members` of a prediction, is the same
in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
_Objects = Callable[[Schema], Schema]


def open_form(schema: Schema) -> Schema:
    """For readers: every object with named fields may have further ones.

    >>> open_form({"properties": {"a": {}}, "additionalProperties": False})
    {'properties': {'a': {}}}
    """
    return _with_objects(schema, _opened)


def closed_form(schema: Schema) -> Schema:
    """For writers: an object with named fields has no others.

    >>> closed_form({"properties": {"a": {}}})
    {'properties': {'a': {}}, 'additionalProperties': False}
    """
    return _with_objects(schema, _closed)


def _opened(item: Schema) -> Schema:
    return {key: value for key, value in item.items() if key != "additionalProperties" or value}


def _closed(item: Schema) -> Schema:
    if item.get("additionalProperties", True) is True:
        return {**item, "additionalProperties": False}
    return item


def _with_objects(schema: Schema, change: _Objects) -> Schema:
    """A copy in which each object with named fields is changed, at every depth.

    What stands in a condition (`if`, `then`, `else`, `not`) names fields and closes none.
    """

    def within(part: Any) -> Any:
        return _with_objects(part, change) if isinstance(part, dict) else part

    out: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: within(part) for name, part in value.items()}
        elif key in {"additionalProperties", "items", "additionalItems"}:
            out[key] = (
                [within(part) for part in value] if isinstance(value, list) else within(value)
            )
        else:
            out[key] = value
    return change(out) if "properties" in out else out
