"""What `contracts check` says of a change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.contracts.compatibility import broken_promises, refusals
from stream_app.contracts.forms import closed_form, open_form
from stream_app.contracts.published import message_schemas
from stream_app.errors import ContractError

SCHEMAS = message_schemas()
Schema = dict[str, Any]
OLD, NEW = "an old reader may refuse a new message", "a new reader may refuse an old message"


def changed(name: str, change: Callable[[Schema], object]) -> list[str]:
    """What is said when this change is made to a schema of ours."""
    new = copy.deepcopy(SCHEMAS[name])
    change(new)
    assert new != SCHEMAS[name]
    return broken_promises(name, SCHEMAS[name], new)


def field(schema: Schema, path: str) -> Schema:
    for part in path.split("."):
        schema = schema["additionalProperties"] if part == "*" else schema["properties"][part]
    return schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_keeps_its_own_promises_in_either_form(name: str) -> None:
    schema = SCHEMAS[name]
    for old in (schema, open_form(schema), closed_form(schema)):
        for new in (schema, open_form(schema), closed_form(schema)):
            assert broken_promises(name, old, new) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_field_that_is_not_required_may_be_added_anywhere(name: str) -> None:
    def add(part: Any) -> None:
        if isinstance(part, dict):
            for inner in part.values():
                add(inner)
            if "properties" in part and "if" not in part:
                part["properties"]["brand_new"] = {"type": "object", "minProperties": 1}

    new = copy.deepcopy(SCHEMAS[name])
    for part in new["properties"].values():
        add(part)
    new["properties"]["brand_new"] = {"type": "string", "pattern": "^x$"}
    assert broken_promises(name, SCHEMAS[name], new) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_words_may_change(name: str) -> None:
    def reword(schema: Schema) -> None:
        schema["title"], schema["description"] = "Other", "Other words."
        schema["examples"] = []
        next(iter(schema["properties"].values()))["description"] = "Other words."

    assert changed(name, reword) == []


CHANGES: list[tuple[str, Callable[[Schema], object], list[str]]] = [
    ("prediction", lambda s: field(s, "members.*")["properties"].pop("shrinkage"),
     ["prediction.members.*.shrinkage: is left out"]),
    ("prediction", lambda s: s["required"].append("intervals"),
     [f"prediction.intervals: {NEW}: may be absent"]),
    ("prediction", lambda s: s["required"].remove("members"),
     [f"prediction.members: {OLD}: may be absent"]),
    ("prediction", lambda s: field(s, "members.*.weight").update(maximum=2),
     [f"prediction.members.*.weight: {OLD}: numbers up to 2 are written, and up to 1 read"]),
    ("prediction", lambda s: field(s, "members.*.weight").update(maximum=0.5),
     [f"prediction.members.*.weight: {NEW}: numbers up to 1 are written, and up to 0.5 read"]),
    ("prediction", lambda s: field(s, "last_price").update(minimum=0, exclusiveMinimum=-1),
     [f"prediction.last_price: {OLD}: numbers from 0 are written, and from 0 (itself not) read"]),
    ("prediction", lambda s: field(s, "ts").update(type="number"),
     [f"prediction.ts: {OLD}: number is written, and not read"]),
    ("prediction", lambda s: field(s, "prediction").update(type=["number", "null"]),
     [f"prediction.prediction: {OLD}: null is written, and not read"]),
    ("prediction", lambda s: field(s, "id").update(pattern=".*"),
     [f"prediction.id: {OLD}: pattern", f"prediction.id: {NEW}: pattern"]),
    ("prediction", lambda s: field(s, "members").pop("minProperties"),
     [f"prediction.members: {OLD}: minProperties 0 is kept, and 1 asked for"]),
    ("prediction", lambda s: field(s, "members").update(propertyNames={"pattern": "^[a-z]+$"}),
     [f"prediction.members (the names): {OLD}: pattern",
      f"prediction.members (the names): {NEW}: pattern"]),
    ("prediction", lambda s: field(s, "intervals")["items"]["required"].remove("level"),
     [f"prediction.intervals[].level: {OLD}: may be absent"]),
    ("retrain-event", lambda s: field(s, "state")["enum"].append("paused"),
     [f'retrain-event.state: {OLD}: "paused" is written, and not read']),
    ("retrain-event", lambda s: field(s, "state")["enum"].remove("failed"),
     [f'retrain-event.state: {NEW}: "failed" is written, and not read']),
    ("retrain-event", lambda s: s["properties"].update(state={"type": "string"}),
     [f"retrain-event.state: {OLD}: anything is written"]),
    ("retrain-event", lambda s: field(s, "timestamp").pop("format"),
     [f"retrain-event.timestamp: {OLD}: format 'date-time' is asked for"]),
    ("retrain-event", lambda s: field(s, "gate.*.*").update(minimum=0),
     [f"retrain-event.gate.*.*: {NEW}: numbers from any are written, and from 0 read"]),
    ("bar", lambda s: field(s, "forecasts.intervals")["items"]["items"].append({"type": "number"}),
     [f"bar.forecasts.intervals[][]: {OLD}: is written, and not read"]),
    ("bar", lambda s: field(s, "forecasts.intervals")["items"].pop("minItems"),
     [f"bar.forecasts.intervals[]: {OLD}: minItems 0 is kept, and 3 asked for"]),
    ("bar", lambda s: s.pop("else"), [f"bar: {OLD}: the condition 'else' differs"]),
    ("score", lambda s: field(s, "running")["propertyNames"]["enum"].append("year"),
     [f'score.running (the names): {OLD}: "year" is written, and not read']),
    ("tick", lambda s: field(s, "symbol").update(maxLength=128),
     [f"tick.symbol: {OLD}: maxLength 128 is kept, and 64 asked for"]),
    ("tick", lambda s: field(s, "id").update(type=["string", "null"]),
     [f"tick.id: {NEW}: integer is written, and not read"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "told"), CHANGES, ids=[f"{n}-{t[0]}" for n, _, t in CHANGES]
)
def test_a_change_that_breaks_a_promise_is_named(
    name: str, change: Callable[[Schema], object], told: list[str]
) -> None:
    lines = changed(name, change)
    assert len(lines) == len(told), lines
    for line, beginning in zip(lines, told, strict=True):
        assert line.startswith(beginning)


def test_a_listed_value_is_looked_at_itself() -> None:
    listed = {"enum": ["ab", 3, None]}
    assert (
        refusals(listed, {"type": ["string", "integer", "null"], "minLength": 2, "maximum": 3})
        == []
    )
    assert refusals(listed, {"type": ["string", "integer", "null"], "minLength": 3}) != []
    assert refusals(listed, {"type": ["string", "integer", "null"], "maximum": 2}) != []
    assert refusals({"const": 1}, {"const": 1.0}) == []
    assert refusals({"const": 1}, {"const": True}) != []


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/definitions/a"},
        {"properties": {"a": {"oneOf": []}}},
        {"additionalProperties": {"patternProperties": {}}},
        {"items": [{"dependencies": {}}]},
        {"not": {"anyOf": []}},
        {"propertyNames": {"contentEncoding": "base64"}},
        {"type": "text"},
        {"type": [["string"]]},
        {"properties": []},
        {"properties": {"a": "b"}},
        {"minimum": True},
        {"maxLength": "5"},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_compared_is_refused_loudly(schema: Schema) -> None:
    for old, new in ((schema, {}), ({}, schema)):
        with pytest.raises(ContractError, match=r"^mine"):
            broken_promises("mine", old, new)


CLOSED = {"additionalProperties": False}
PARTS: list[tuple[Schema, Schema, list[str]]] = [
    ({"properties": {"a": {}}, **CLOSED}, CLOSED, ["value.a: is written, and not read"]),
    ({"properties": {"a": {}}}, {"additionalProperties": {"type": "null"}},
     ["value.a: ", "value.*: "]),
    ({**CLOSED}, {"properties": {"a": {"type": "null"}}}, []),
    ({"properties": {"b": {}}, **CLOSED}, {"properties": {"a": {"type": "null"}}}, []),
    ({"additionalProperties": {"type": "string"}}, {"properties": {"a": {"type": "null"}}},
     ["value.a: string is written"]),
    ({}, CLOSED, ["value.*: is written, and not read"]),
    ({"properties": {"a": {}}, **CLOSED}, {"propertyNames": {"enum": ["b"]}},
     ['value.a (the name): "a" is written']),
    ({}, {"propertyNames": {"maxLength": 1}}, ["value (the names): maxLength inf is kept"]),
    ({"items": [{}, {}], "additionalItems": False}, {"items": [{}], "additionalItems": False},
     ["value[]: is written, and not read"]),
    ({"items": {"type": "string"}}, {"items": [{"type": "string"}]}, []),
    ({"items": {"type": "string"}}, {"items": [{}, {"type": "null"}]},
     ["value[]: string is written"]),
    ({"items": [{"type": "null"}], "additionalItems": {"type": "string"}},
     {"items": {"type": "null"}}, ["value[]: string is written"]),
    ({"items": {"items": {}}}, {"items": {"items": False}},
     ["value[][]: is written, and not read"]),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "told"), PARTS, ids=[str(part[:2]) for part in PARTS])
def test_fields_and_items_are_compared_one_by_one(
    writer: Schema, reader: Schema, told: list[str]
) -> None:
    for type_ in ({"type": "object"}, {"type": "array"}):
        lines = refusals(type_ | writer, type_ | reader)
        applies = ("items" in reader) == (type_["type"] == "array")
        if not applies:
            assert lines == []
            continue
        assert len(lines) == len(told), lines
        assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))
