from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream_app.kafka import reader
from stream_app.kafka.reader import open_reader


class Consumer:
    """A client whose end brings up the cancellation of its own fetch."""

    def __init__(self, **_: Any) -> None:
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        fetch = asyncio.ensure_future(asyncio.sleep(10_000))
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "AIOKafkaConsumer", Consumer)


async def test_a_cancelled_fetch_of_the_client_does_not_cancel_its_user() -> None:
    with pytest.raises(ValueError, match="the real error"):
        async with open_reader({}):
            raise ValueError("the real error")


async def test_a_user_that_is_cancelled_stays_cancelled() -> None:
    async def use() -> None:
        async with open_reader({}):
            await asyncio.sleep(10_000)

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
