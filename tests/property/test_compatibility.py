"""Where the comparison finds nothing, no message that a writer may write is refused by a reader."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from stream_app.contracts.compatibility import broken_promises, refusals
from stream_app.contracts.forms import closed_form, open_form

NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 1.0, 2])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "a", "ab", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SMALL = st.integers(0, 2)


def subset(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


LEAVES = subset(
    {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMinimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "minLength": SMALL,
        "maxLength": SMALL,
        "pattern": st.sampled_from(["a", "^a$"]),
    }
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    part = inner | st.booleans()
    return subset(
        {
            "type": st.just(["array", "object"]) | TYPES,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "properties": st.dictionaries(NAMES, part, max_size=3),
            "additionalProperties": part,
            "propertyNames": st.just({"pattern": "a"}) | st.just({"enum": ["a", "b"]}) | inner,
            "minProperties": SMALL,
            "maxProperties": SMALL,
            "items": inner | st.lists(part, min_size=1, max_size=2),
            "additionalItems": part,
            "minItems": SMALL,
            "maxItems": SMALL,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        }
    )


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=4)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A writer's schema and a reader's: one is the other with some keywords more or less."""
    one = draw(SCHEMAS)
    other = {key: value for key, value in one.items() if draw(st.integers(0, 3))}
    other |= draw(LEAVES | SCHEMAS) if draw(st.booleans()) else {}
    return (one, other) if draw(st.booleans()) else (other, one)


@settings(max_examples=200)
@given(pairs(), st.lists(VALUES, max_size=20))
def test_what_is_not_named_is_not_refused(
    pair: tuple[dict[str, Any], dict[str, Any]], values: list[Any]
) -> None:
    writer, reader = pair
    found = refusals(writer, reader)
    written = [value for value in values if Draft7Validator(writer).is_valid(value)]
    event(f"compatible: {not found}, written: {bool(written)}")
    if not found:
        assert [value for value in written if not Draft7Validator(reader).is_valid(value)] == []


@settings(max_examples=100)
@given(pairs(), st.lists(VALUES, max_size=20))
def test_where_no_promise_is_broken_each_reads_the_other(
    pair: tuple[dict[str, Any], dict[str, Any]], values: list[Any]
) -> None:
    old, new = pair
    if broken_promises("mine", old, new):
        return
    for writer, reader in ((old, new), (new, old)):
        written = [
            value for value in values if Draft7Validator(closed_form(writer)).is_valid(value)
        ]
        assert all(Draft7Validator(open_form(reader)).is_valid(value) for value in written)
