from __future__ import annotations

import logging

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)

from stream_app.kafka import retries
from stream_app.kafka.retries import may_pass, until_answered

logger = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRY_S", 0.0)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (KafkaConnectionError("no broker"), True),
        (KafkaTimeoutError("no answer"), True),
        (TimeoutError(), True),
        (NotLeaderForPartitionError(), True),
        (UnsupportedCodecError("zstd"), False),
        (TopicAuthorizationFailedError("bars"), False),
        (ValueError("of our own"), False),
    ],
)
def test_an_error_passes_or_never_will(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


async def test_an_outage_is_said_once_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[KafkaError] = [*[KafkaConnectionError("away")] * 3, KafkaTimeoutError("slow")]

    async def ask() -> str:
        if errors:
            raise errors.pop(0)
        return "answer"

    with caplog.at_level(logging.WARNING):
        answer = await until_answered(lambda: ask(), what="cannot restore", logger=logger)  # noqa: PLW0108 - as callers do
    assert answer == "answer"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("cannot restore yet (KafkaConnectionError: ")


async def test_an_error_that_never_passes_is_raised_at_once() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        raise UnsupportedCodecError("zstd")

    with pytest.raises(UnsupportedCodecError):
        await until_answered(ask, what="cannot restore", logger=logger)
    assert asked == 1
