"""Registering and looking up, at a registry that answers as recorded, and at a real one.

No registry can be installed from a package index, so the real one is not started here: where one
runs on this machine, REAL_SCHEMA_REGISTRY names it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stream_app.contracts import schema_registry
from stream_app.contracts.published import message_schemas
from stream_app.contracts.schema_registry import ID_HEADER, register, schema_headers, subjects
from stream_app.errors import ConfigError, SchemaRegistryError
from stream_app.kafka.topics import Topics, load_topics
from stream_app.settings import Settings, load_settings
from tests.registries import REAL_URL, RecordedRegistry

needs_real = pytest.mark.skipif(
    not REAL_URL, reason="REAL_SCHEMA_REGISTRY is not set: no schema registry runs here"
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def topics(topics_file: Path) -> Topics:
    return load_topics(topics_file)


@pytest.fixture(params=["recorded", pytest.param("real", marks=needs_real)])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "real":
        assert REAL_URL
        yield REAL_URL
        return
    async with RecordedRegistry() as registry:
        yield registry.url


@pytest.fixture
def changed_schemas(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """This version's schemas, to be changed as a later version might."""
    schemas = message_schemas()
    monkeypatch.setattr(schema_registry, "message_schemas", lambda: schemas)
    return schemas


async def test_what_is_registered_is_looked_up_and_stands_in_a_header(
    url: str, topics: Topics
) -> None:
    settings = load_settings(schema_registry_url=url)
    with pytest.raises(SchemaRegistryError, match=r"-value is not there .* `stream-app contracts"):
        await schema_headers(settings, topics.specs)
    lines = await register(settings, topics.specs)
    assert [line.partition(": registered, id ")[0] for line in lines] == [
        f"{spec.name}-value" for spec in topics.specs if spec is not topics.dead_letters
    ]
    again = await register(settings, topics.specs)
    assert again == [line.replace("registered", "is there") for line in lines]
    headers = await schema_headers(settings, topics.specs)
    for line in lines:
        subject, _, number = line.partition(": registered, id ")
        told = b"\0" + int(number).to_bytes(4, "big")
        assert headers[subject.removesuffix("-value")] == [(ID_HEADER, told)]
    assert topics.dead_letters.name not in headers


async def test_a_later_version_is_registered_beside_the_older_one(
    url: str, topics: Topics, changed_schemas: dict[str, Any]
) -> None:
    settings = load_settings(schema_registry_url=url)
    await register(settings, topics.specs)
    before = await schema_headers(settings, topics.specs)
    changed_schemas["prediction"]["properties"]["brand_new"] = {"type": "number"}
    with pytest.raises(SchemaRegistryError, match="is not there as this version has it"):
        await schema_headers(settings, topics.specs)
    lines = await register(settings, topics.specs)
    assert [line.split(":")[0] for line in lines if ": registered" in line] == [
        f"{topics.predictions.name}-value"
    ]
    after = await schema_headers(settings, topics.specs)
    assert [name for name in after if after[name] != before[name]] == [topics.predictions.name]


async def test_nothing_is_registered_when_the_registry_would_refuse_one(
    url: str, topics: Topics, changed_schemas: dict[str, Any]
) -> None:
    settings = load_settings(schema_registry_url=url)
    await register(settings, topics.specs)
    changed_schemas["bar"]["properties"]["brand_new"] = {"type": "number"}
    changed_schemas["score"]["properties"]["harm"] = {"type": "boolean"}
    with pytest.raises(
        SchemaRegistryError, match="not compatible with the version there: "
    ) as told:
        await register(settings, topics.specs)
    assert f"{topics.scores.name}-value" in str(told.value)
    changed_schemas["score"] = message_schemas()["score"]
    lines = await register(settings, topics.specs)
    assert [line.split(":")[0] for line in lines if ": registered" in line] == [
        f"{topics.bars.name}-value"
    ]


async def test_ticks_in_another_form_have_no_schema(topics: Topics) -> None:
    async with RecordedRegistry() as registry:
        settings = load_settings(schema_registry_url=registry.url, tick_time_unit="s")
        assert topics.ticks.name not in {item.topic for item in subjects(settings, topics.specs)}
        await register(settings, topics.specs)
        assert topics.ticks.name not in await schema_headers(settings, topics.specs)
        assert f"{topics.ticks.name}-value" not in registry.subjects


async def test_without_a_registry_nothing_is_asked(topics: Topics) -> None:
    assert await schema_headers(load_settings(), topics.specs) == {}
    with pytest.raises(ConfigError, match="SCHEMA_REGISTRY_URL is not set"):
        await register(load_settings(), topics.specs)


async def test_what_is_registered_is_the_closed_schema(topics: Topics) -> None:
    async with RecordedRegistry() as registry:
        await register(load_settings(schema_registry_url=f"{registry.url}/"), topics.specs)
        names = ("tick", "bar", "prediction", "score", "retrain-event", "champion", "drift")
        assert registry.schemas == [message_schemas()[name] for name in names]


@pytest.mark.parametrize("secret", ["hunter2", "pässwörd:ключ %41"])
async def test_the_user_is_told_and_the_password_is_not_shown(topics: Topics, secret: str) -> None:
    async with RecordedRegistry(f"me:{secret}") as registry:
        given: dict[str, Any] = {"schema_registry_url": registry.url}
        user: dict[str, Any] = {
            "schema_registry_username": "me",
            "schema_registry_password": secret,
        }
        assert len(await register(load_settings(**given, **user), topics.specs)) == len(
            message_schemas()
        )
        others: list[dict[str, Any]] = [{}, {**user, "schema_registry_username": "you"}]
        for wrong in [*others, {**user, "schema_registry_password": "x"}]:
            with pytest.raises(SchemaRegistryError, match=r"refuses the user \(401\)") as told:
                await register(load_settings(**given, **wrong), topics.specs)
            assert secret not in str(told.value)
            assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (404, "Not Found", "answers 404 as no schema registry does"),
        (200, "<html>", "answers 200 as no schema registry does"),
        (200, "[]", "answers 200 as no schema registry does"),
        (200, '{"id": "7"}', "an id is expected, and not '7'"),
        (200, "{}", "an id is expected, and not 'None'"),
        (200, '{"id": -1}', "an id is expected, and not '-1'"),
        (500, '{"error_code": 50001, "message": "store\\nis away"}', "500: store is away"),
        (503, "", "503"),
        (422, '{"error_code": 42201, "message": "Invalid schema"}', "422: Invalid schema"),
    ],
)
async def test_another_answer_is_told_in_one_line(
    topics: Topics, status: int, text: str, told: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        with pytest.raises(
            SchemaRegistryError, match=f"schema registry {url}: .*{told}"
        ) as refused:
            await register(load_settings(schema_registry_url=url), topics.specs)
        assert "\n" not in str(refused.value)


async def test_a_registry_that_starts_late_is_waited_for(topics: Topics) -> None:
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
    settings = load_settings(schema_registry_url=f"http://127.0.0.1:{port}")
    asked = asyncio.create_task(register(settings, topics.specs))
    async with RecordedRegistry(port=port):
        assert len(await asked) == len(message_schemas())


async def test_one_that_is_not_there_is_told_in_one_line(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_registry, "_REACH_TIMEOUT_S", 0.0)
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
        url = f"http://127.0.0.1:{kept.getsockname()[1]}"
        with pytest.raises(SchemaRegistryError, match=f"{url}: no answer .*SCHEMA_REGISTRY_URL"):
            await register(load_settings(schema_registry_url=url), topics.specs)


async def test_one_that_does_not_answer_is_not_waited_for_without_end(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_registry, "_ANSWER_TIMEOUT_S", 0.05)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        with pytest.raises(SchemaRegistryError, match="no answer"):
            await register(load_settings(schema_registry_url=url), topics.specs)


def test_a_schema_is_always_the_same_text(topics: Topics) -> None:
    first, second = (subjects(load_settings(), topics.specs) for _ in range(2))
    assert first == second
    assert [json.loads(item.text)["title"] for item in first][:2] == ["Tick", "Bar"]
