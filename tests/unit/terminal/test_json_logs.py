"""`LOG_FORMAT=json`: an object a line, with the fields that it is about."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from stream_app.ops.log_fields import log_fields
from stream_app.terminal.logs import log_to_stderr

logger = logging.getLogger("stream_app.tests")


def lines(said: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.readouterr().err.splitlines()]


def test_a_line_is_an_object_with_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", "json")
    logger.info("Retraining completed in %.1fs (all 4 models)", 1.25)
    (line,) = lines(capsys)
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert at.utcoffset() == timedelta(0)
    assert line == {
        "level": "INFO",
        "logger": "stream_app.tests",
        "message": "Retraining completed in 1.2s (all 4 models)",
    }


def test_as_text_the_line_has_no_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO")
    with log_fields(partition=3):
        logger.info("restored")
    assert capsys.readouterr().err.endswith("Z INFO    stream_app.tests: restored\n")


async def test_fields_are_those_of_the_blocks_around_and_of_the_line_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("INFO", "json")

    async def turn(symbol: str) -> None:
        with log_fields(symbol=symbol):
            await asyncio.to_thread(logger.info, "in a thread of a task")

    with log_fields(cycle="c1"):
        async with asyncio.TaskGroup() as group:
            for symbol in ("A", "B"):
                group.create_task(turn(symbol))
        with log_fields(partition=0):
            logger.info("of its own", extra={"symbol": "C", "version": "v1"})
    logger.info("outside")
    fields = [
        {name: line.get(name) for name in ("symbol", "cycle", "version", "partition")}
        for line in lines(capsys)
    ]
    none = dict.fromkeys(("symbol", "cycle", "version", "partition"))
    assert sorted(fields[:2], key=str) == [
        none | {"symbol": "A", "cycle": "c1"},
        none | {"symbol": "B", "cycle": "c1"},
    ]
    assert fields[2] == {"symbol": "C", "cycle": "c1", "version": "v1", "partition": 0}
    assert fields[3] == none


def test_a_traceback_stays_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("INFO", "json")
    try:
        raise ValueError("two\nlines \x1b[31m")
    except ValueError:
        logger.exception("it failed")
    said = capsys.readouterr().err
    (line,) = (json.loads(line) for line in said.splitlines())
    assert "two\nlines \x1b[31m" in line["exc_info"]
    assert "\x1b" not in said


def test_what_a_library_adds_cannot_break_the_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("WARNING", "json")
    extra = {"data": object(), "number": float("nan")}
    logging.getLogger("faust.agents").warning("%r", b"\xff", extra=extra)
    (line,) = lines(capsys)
    assert line["message"] == "b'\\xff'"
