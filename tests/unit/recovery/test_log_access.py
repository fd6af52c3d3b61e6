"""Connected readers are kept, and no broken one is used again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stream_app.recovery import log_access as access_module
from stream_app.recovery.log_access import IDLE, Readers


class Consumer:
    def __init__(self) -> None:
        self.assigned: list[Any] = ["something"]
        self.is_open = True

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = partitions


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """All that were connected."""
    found: list[Consumer] = []

    @asynccontextmanager
    async def connect(_settings: dict[str, Any]) -> AsyncIterator[Consumer]:
        found.append(consumer := Consumer())
        try:
            yield consumer
        finally:
            consumer.is_open = False

    monkeypatch.setattr(access_module, "open_reader", connect)
    return found


async def test_one_that_was_used_is_used_again_and_reads_nothing_meanwhile(
    made: list[Consumer],
) -> None:
    readers = Readers({})
    async with readers.one() as first:
        pass
    assert made[0].assigned == []
    async with readers.one() as again, readers.one() as other:
        assert again is first
        assert other is made[1]
    assert len(made) == 2


async def test_one_that_failed_is_closed(made: list[Consumer]) -> None:
    readers = Readers({})
    with pytest.raises(ConnectionError):
        async with readers.one():
            raise ConnectionError
    assert [item.is_open for item in made] == [False]
    async with readers.one() as consumer:
        assert consumer is made[1]


async def test_no_more_are_kept_than_a_takeover_needs(made: list[Consumer]) -> None:
    readers = Readers({})
    async with readers.one(), readers.one(), readers.one():
        pass
    assert sum(item.is_open for item in made) == IDLE


async def test_those_that_were_prepared_are_connected_once(made: list[Consumer]) -> None:
    readers = Readers({})
    await readers.prepare()
    await readers.prepare()
    assert len(made) == IDLE
    async with readers.one() as consumer:
        assert consumer in made


async def test_at_the_end_all_are_closed_and_none_is_kept_any_more(made: list[Consumer]) -> None:
    readers = Readers({})
    async with readers.one():
        await readers.prepare()
        await readers.close()
    await readers.prepare()
    assert not any(item.is_open for item in made)
