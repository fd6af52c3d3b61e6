from __future__ import annotations

import logging

import pytest

from stream_app.prediction.notice import Notice
from stream_app.worker.notice_log import NoticeLog


def notice(symbol: str = "BTC", count: int = 1) -> Notice:
    return Notice(symbol=symbol, kind="late", count=count, detail="a tick came late")


def test_a_notice_is_logged_at_the_first_tick_and_at_every_further_digit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = NoticeLog()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            log.note([notice()])
    assert caplog.messages == [
        f"BTC: a tick came late ({count} so far)" for count in (1, 10, 100, 1000)
    ]


def test_symbols_are_counted_apart_and_a_batch_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = NoticeLog()
    with caplog.at_level(logging.WARNING):
        log.note([notice("A", 250), notice("B", 3)])
        log.note([notice("A", 5), notice("B", 6)])
    assert caplog.messages == ["A: a tick came late (250 so far)", "B: a tick came late (3 so far)"]


def test_symbols_that_went_elsewhere_are_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    log = NoticeLog()
    with caplog.at_level(logging.WARNING):
        log.note([notice("A"), notice("B")])
        log.keep({"B"})
        log.note([notice("A"), notice("B")])
    assert caplog.messages == [
        "A: a tick came late (1 so far)",
        "B: a tick came late (1 so far)",
        "A: a tick came late (1 so far)",
    ]
