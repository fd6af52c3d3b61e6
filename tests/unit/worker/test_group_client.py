"""Faust's client of the group, ended while it is in trouble."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.worker.group_client import GroupClient


async def _with_a_fetch_to_be_repeated() -> None:
    waiting = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)
    waiting.cancel()
    await waiting


async def _with_a_connection_being_made() -> None:
    raise AttributeError("'NoneType' object has no attribute 'done'")


@pytest.mark.parametrize("stop", [_with_a_fetch_to_be_repeated, _with_a_connection_being_made])
async def test_a_client_that_cannot_be_closed_in_order_does_not_break_the_end(
    stop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client: Any = GroupClient.__new__(GroupClient)
    client._consumer = SimpleNamespace(stop=stop)
    await client.on_thread_stop()
    assert "the consumer was not closed in order" in caplog.text
