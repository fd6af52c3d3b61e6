from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from stream_app.errors import BrokerError
from stream_app.kafka import reader, retries
from stream_app.kafka.reader import open_reader, read_through

logger = logging.getLogger(__name__)


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


async def test_a_client_that_cannot_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []

    class Away(Consumer):
        async def start(self) -> None:
            raise KafkaConnectionError

        async def stop(self) -> None:
            stopped.append(self)

    monkeypatch.setattr(reader, "AIOKafkaConsumer", Away)
    with pytest.raises(KafkaConnectionError):
        async with open_reader({}):
            pass
    assert len(stopped) == 1


async def test_an_outage_is_said_once_and_a_right_that_is_missing_ends_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[KafkaError] = [KafkaConnectionError("away")] * 3
    errors += [KafkaError("an assertion of the client"), TopicAuthorizationFailedError("champions")]

    class Refused(Consumer):
        async def start(self) -> None:
            raise errors.pop(0)

        async def stop(self) -> None:
            pass

    monkeypatch.setattr(reader, "AIOKafkaConsumer", Refused)
    monkeypatch.setattr(retries, "RETRY_S", 0.0)
    records = read_through(
        {}, TopicPartition("champions", 0), 0, what="the champions topic", logger=logger
    )
    with pytest.raises(BrokerError, match=r"the champions topic cannot be followed.*may use it"):
        await anext(records)
    assert errors == []
    assert len(caplog.records) == 2
