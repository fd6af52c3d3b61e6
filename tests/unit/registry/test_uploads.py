"""What is written to the store stays there until it can serve."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from stream_app.registry.store import KEPT_VERSIONS
from stream_app.registry.uploads import Uploads

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Store:
    """An object store that keeps what it must."""

    url = "memory"

    def __init__(self) -> None:
        self.versions: set[str] = set()

    async def has(self, _name: str, version: str) -> bool:
        return version in self.versions

    async def put(self, _name: str, version: str, _files: object) -> None:
        self.versions.add(version)

    async def prune(self, _name: str, *, newest: int, keep: set[str]) -> None:
        self.versions = set(sorted(self.versions)[-newest:]) | (self.versions & keep)


class Disk:
    def files(self, _name: str, _version: str) -> dict[str, bytes]:
        return {}


def version(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}-00000000"


async def test_a_version_that_is_just_written_stays_though_the_clock_went_back() -> None:
    store: Any = Store()
    disk: Any = Disk()
    uploads = Uploads(disk, store, needed=lambda _: set())
    running = asyncio.create_task(uploads.run())
    for minute in range(KEPT_VERSIONS):
        await uploads.add("A", version(NOON + timedelta(minutes=minute)))
    new = version(NOON - timedelta(minutes=3))
    await uploads.add("A", new)
    running.cancel()
    assert new in store.versions
