"""A schema registry for tests that answers as Karapace does.

Its status codes, error codes and messages were recorded from Karapace (its main branch of June
2026) on Apache Kafka 4.3. The tests cannot install a registry by themselves: none is in a package
index. Where one runs, REAL_SCHEMA_REGISTRY names it, and the same tests use it too.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer

from stream_app.contracts.compatibility import refusals

REAL_URL: Final = os.environ.get("REAL_SCHEMA_REGISTRY")
_MEDIA: Final = "application/vnd.schemaregistry.v1+json"


class RecordedRegistry:
    """Subjects with versions of schemas, each with an id; compatible if BACKWARD, the default."""

    def __init__(self, user: str | None = None, port: int | None = None) -> None:
        self.subjects: dict[str, list[int]] = {}
        self.schemas: list[Any] = []
        """By id, from 1."""
        self.asked: list[str] = []
        self._allowed = user and f"Basic {b64encode(user.encode()).decode()}"
        app = web.Application(middlewares=[self._checked])
        app.router.add_post("/subjects/{subject}", self._look_up)
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_post("/compatibility/subjects/{subject}/versions/latest", self._compare)
        self._server = TestServer(app, host="127.0.0.1", port=port)

    async def __aenter__(self) -> RecordedRegistry:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        assert request.content_type == _MEDIA
        if self._allowed and request.headers.get("Authorization") != self._allowed:
            return web.Response(status=401, text='{"message": "Unauthorized"}')
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _schema(self, request: web.Request) -> Any:
        body = json.loads(await request.text())
        assert body["schemaType"] == "JSON"
        return json.loads(body["schema"])

    async def _look_up(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], await self._schema(request)
        if subject not in self.subjects:
            return _answer(404, error_code=40401, message=f"Subject '{subject}' not found.")
        for version, number in enumerate(self.subjects[subject], start=1):
            if self.schemas[number - 1] == schema:
                return _answer(200, subject=subject, version=version, id=number)
        return _answer(404, error_code=40403, message="Schema not found")

    async def _compare(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], await self._schema(request)
        if subject not in self.subjects:
            return _answer(404, error_code=40402, message="Version -1 not found.")
        why = self._why_not(subject, schema)
        if why:
            return _answer(200, is_compatible=False, messages=why)
        return _answer(200, is_compatible=True)

    async def _register(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], await self._schema(request)
        why = self._why_not(subject, schema)
        if why:
            told = "Incompatible schema, compatibility_mode=BACKWARD. Incompatibilities: "
            return _answer(409, error_code=409, message=told + ", ".join(why))
        if schema not in self.schemas:
            self.schemas.append(schema)
        number = self.schemas.index(schema) + 1
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return _answer(200, id=number)

    def _why_not(self, subject: str, schema: Any) -> list[str]:
        """A reader of the new schema must take what was written with the newest one there."""
        versions = self.subjects.get(subject)
        return refusals(self.schemas[versions[-1] - 1], schema) if versions else []


def _answer(status: int, **fields: Any) -> web.Response:
    return web.Response(status=status, text=json.dumps(fields), content_type=_MEDIA)
