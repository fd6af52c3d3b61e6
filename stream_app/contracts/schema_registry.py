"""A schema registry that speaks Confluent's API: registers our schemas, and looks up their ids.

Messages on the topics stay plain JSON. Where a registry is set, each record that we write has a
header that names its schema, as Confluent's deserializers read it: a zero byte and the id in four
bytes.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from stream_app.contracts.published import message_schemas, schema_name
from stream_app.errors import ConfigError, SchemaRegistryError
from stream_app.kafka.topics import TopicSpec
from stream_app.messages.records import Headers
from stream_app.settings import Settings

ID_HEADER: Final = "__value_schema_id"
"""Where Confluent's clients look for the id when it is not before the value."""
_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_ANSWER_TIMEOUT_S: Final = 10.0
_REACH_TIMEOUT_S: Final = 10.0
_RETRY_S: Final = 0.5
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA = 40401, 40402, 40403
_ABSENT: Final = (_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA)


@dataclass(frozen=True, slots=True)
class Subject:
    """A topic's schema under the name that registries know it by (TopicNameStrategy)."""

    topic: str
    text: str
    """The schema in JSON, always the same text for the same schema."""

    @property
    def name(self) -> str:
        """The topic's name and `-value`."""
        return f"{self.topic}-value"


def subjects(settings: Settings, specs: Iterable[TopicSpec]) -> list[Subject]:
    """Of these topics, those with a schema. Ticks only where they have the contract's own form."""
    schemas = message_schemas()
    found = []
    for spec in specs:
        name = schema_name(spec.role)
        if name is not None and (spec.role != "ticks" or settings.tick_mapping.is_strict):
            found.append(Subject(spec.name, json.dumps(schemas[name], separators=(",", ":"))))
    return found


async def register(settings: Settings, specs: Iterable[TopicSpec]) -> list[str]:
    """Register every schema that is not there yet; all are asked about before the first is written.

    Returns:
        One line for each subject. Registering twice changes nothing.

    Raises:
        ConfigError: no registry is set.
        SchemaRegistryError: it does not answer, or refuses a schema.
    """
    lines = []
    async with _connected(settings) as registry:
        wanted = subjects(settings, specs)
        known = {item.name: await registry.id_of(item) for item in wanted}
        for item in wanted:
            if known[item.name] is None:
                await registry.require_compatible(item)
        for item in wanted:
            number = known[item.name]
            told = "is there"
            if number is None:
                number, told = await registry.add(item), "registered"
            lines.append(f"{item.name}: {told}, id {number}")
    return lines


async def schema_headers(settings: Settings, specs: Iterable[TopicSpec]) -> Mapping[str, Headers]:
    """The headers of the records that are written to these topics, by the topics' names.

    None where no registry is set.

    Raises:
        SchemaRegistryError: the registry does not answer, or lacks a schema.
    """
    if settings.schema_registry_url is None:
        return {}
    headers = {}
    async with _connected(settings) as registry:
        for item in subjects(settings, specs):
            number = await registry.id_of(item)
            if number is None:
                raise SchemaRegistryError(
                    f"schema registry {registry.url}: {item.name} is not there as this version "
                    "has it; run `stream-app contracts register`"
                )
            headers[item.topic] = [(ID_HEADER, struct.pack(">bI", 0, number))]
    return headers


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[_SchemaRegistry]:
    if settings.schema_registry_url is None:
        raise ConfigError("SCHEMA_REGISTRY_URL is not set: give the address of the schema registry")
    headers = {"Content-Type": _MEDIA, "Accept": f"{_MEDIA}, application/json"}
    if settings.schema_registry_username is not None:
        secret = settings.schema_registry_password
        password = "" if secret is None else secret.get_secret_value()
        user = f"{settings.schema_registry_username}:{password}".encode()
        headers["Authorization"] = f"Basic {b64encode(user).decode()}"
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S),
    ) as session:
        yield _SchemaRegistry(session, settings.schema_registry_url.rstrip("/"))


class _SchemaRegistry:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._session = session

    async def id_of(self, item: Subject) -> int | None:
        """The id of a schema under its subject; None when it is not there."""
        found = await self._ask(item, f"/subjects/{item.name}", absent=_ABSENT)
        return None if found is None else self._id(item, found)

    async def require_compatible(self, item: Subject) -> None:
        """Raise a SchemaRegistryError where the registry would refuse the schema."""
        path = f"/compatibility/subjects/{item.name}/versions/latest?verbose=true"
        found = await self._ask(item, path, absent=_ABSENT)
        if found is not None and found.get("is_compatible") is not True:
            reasons = found.get("messages")
            told = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
            raise self._error(item, f"not compatible with the version there: {told}")

    async def add(self, item: Subject) -> int:
        """Register a schema; returns its id."""
        found = await self._ask(item, f"/subjects/{item.name}/versions")
        return self._id(item, found or {})

    def _id(self, item: Subject, answer: Mapping[str, Any]) -> int:
        number = answer.get("id")
        if not isinstance(number, int) or not 0 <= number < 2**32:
            raise self._error(item, f"an id is expected, and not {str(number)[:40]!r}")
        return number

    async def _ask(
        self, item: Subject, path: str, absent: Sequence[int] = ()
    ) -> dict[str, Any] | None:
        """Post a schema. None for an error code that says that something is not there.

        Tries again while nobody answers, for as long as a registry may take to start.
        """
        body = json.dumps({"schema": item.text, "schemaType": "JSON"})
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(aiohttp.ClientConnectionError),
                stop=stop_after_delay(_REACH_TIMEOUT_S),
                wait=wait_fixed(_RETRY_S),
                reraise=True,
            ):
                with attempt:
                    asked = self._session.post(
                        f"{self.url}{path}", data=body, allow_redirects=False
                    )
                    async with asked as response:
                        status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise SchemaRegistryError(
                f"schema registry {self.url}: no answer ({why[:200]}); check that it runs and that "
                "SCHEMA_REGISTRY_URL names it"
            ) from None
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        told = answer if isinstance(answer, dict) else {}
        if told.get("error_code") in absent:
            return None
        if status in {401, 403}:
            raise self._error(
                item,
                f"refuses the user ({status}); check SCHEMA_REGISTRY_USERNAME and "
                "SCHEMA_REGISTRY_PASSWORD",
            )
        if status in {200, 404} and "error_code" not in told:
            raise self._error(
                item, f"answers {status} as no schema registry does; check SCHEMA_REGISTRY_URL"
            )
        raise self._error(item, f"{status}: {told.get('message', text)}")

    def _error(self, item: Subject, why: str) -> SchemaRegistryError:
        return SchemaRegistryError(
            f"schema registry {self.url}: {item.name}: {' '.join(why.split())[:400]}"
        )
