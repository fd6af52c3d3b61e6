"""The schemas of this version: their forms, their files, and that each topic has one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from stream_app.contracts.files import contract_files
from stream_app.contracts.forms import closed_form, open_form
from stream_app.contracts.published import (
    last_release,
    message_schemas,
    read_schemas,
    schema_name,
)
from stream_app.errors import ContractError
from stream_app.kafka.topics import ROLES, load_topics
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import decode_tick
from stream_app.settings import Settings

ROOT = Path(__file__).parents[3]
SCHEMAS = message_schemas()


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """The schemas of objects with named fields, at any depth, but for conditions."""
    if isinstance(part, list):
        for inner in part:
            yield from objects(inner)
    if isinstance(part, dict):
        if "properties" in part:
            yield part
        for key, inner in part.items():
            if key not in {"if", "then", "else", "not", "examples"}:
                yield from objects(inner)


def keywords(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for inner in part:
            yield from keywords(inner)
    if isinstance(part, dict):
        for key, inner in part.items():
            yield key
            yield from keywords(inner)


def test_every_topic_but_the_dead_letters_has_a_schema_and_every_schema_a_topic() -> None:
    named = {role: schema_name(role) for role in ROLES}
    assert [role for role, name in named.items() if name is None] == ["dead_letters"]
    assert sorted(filter(None, named.values())) == sorted(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_stands_for_itself_and_draft_07_tools_read_it(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema)
    later = {"$ref", "$defs", "$id", "prefixItems", "unevaluatedProperties", "dependentRequired"}
    assert later & set(keywords(schema)) == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_writers_have_the_closed_form_and_readers_the_open_one(name: str) -> None:
    schema = SCHEMAS[name]
    is_input = name == "tick"
    found = list(objects(schema))
    assert found
    assert all(item.get("additionalProperties", True) is is_input for item in found)
    assert all(
        item.get("additionalProperties", True) is True for item in objects(open_form(schema))
    )
    assert all(item["additionalProperties"] is False for item in objects(closed_form(schema)))
    (example,) = schema["examples"]
    for form in (schema, open_form(schema), closed_form(schema)):
        assert Draft7Validator(form).is_valid(example)
    more = {**example, "brand_new": 1}
    assert Draft7Validator(schema).is_valid(more) is is_input
    assert Draft7Validator(open_form(schema)).is_valid(more)
    assert not Draft7Validator(closed_form(schema)).is_valid(more)


def test_the_contract_of_a_feed_is_no_stricter_than_the_product() -> None:
    tick = {**SCHEMAS["tick"]["examples"][0], "brand_new": {"a": [1]}}
    decoded = decode_tick(json.dumps(tick).encode(), tick["symbol"].encode(), tick["ts"], 0.0)
    assert isinstance(decoded, Tick)
    assert Draft7Validator(SCHEMAS["tick"]).is_valid(tick)


def test_the_files_in_docs_are_current() -> None:
    made = contract_files(load_topics(ROOT / "topics.yaml"), Settings.model_construct())
    there = {f"contracts/{path.name}" for path in (ROOT / "docs/contracts").glob("*.json")}
    assert there | {"asyncapi.yaml"} == set(made)
    told = "edit the schemas in stream_app/contracts/schemas, and run `make contracts`"
    for name, text in made.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, told


def test_the_last_release_is_the_newest_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in ("0.9.0", "0.10.0", "0.2.11"):
        folder = tmp_path / "released" / number
        folder.mkdir(parents=True)
        (folder / "tick.schema.json").write_text(json.dumps({"title": number}))
    monkeypatch.setattr("stream_app.contracts.published._HERE", tmp_path)
    assert last_release() == ("0.10.0", {"tick": {"title": "0.10.0"}})


def test_each_release_has_kept_its_schemas() -> None:
    """Where this fails, the recipe for a release in CONTRIBUTING.md says what to copy."""
    assert last_release()[0] == version("stream-app")


def test_a_folder_without_schemas_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"absent: No such file .*; give a folder of"):
        read_schemas(tmp_path / "absent")
    with pytest.raises(ContractError, match="none; give a folder of"):
        read_schemas(tmp_path)
    for text, told in (("{", "not JSON"), ("[]", "not a JSON object"), ("\xff", "not JSON")):
        (tmp_path / "a.schema.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ContractError, match=rf"a\.schema\.json: {told}"):
            read_schemas(tmp_path)
