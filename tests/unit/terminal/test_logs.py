from __future__ import annotations

import importlib
import logging
from typing import Any

import pytest
from mode import Service

from stream_app.terminal.logs import LIBRARIES, QUIET_S, OneLineAnOutage, log_to_stderr
from tests.builders import SteppedClock


@pytest.fixture
def outage(clock: SteppedClock) -> OneLineAnOutage:
    return OneLineAnOutage(clock)


def record(name: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, "the broker is away", None, None)


def test_of_an_outage_the_libraries_first_record_passes_and_no_other(
    outage: OneLineAnOutage, clock: SteppedClock
) -> None:
    passed = 0
    for _ in range(600):  # ten minutes of complaints, one a second
        passed += outage.filter(record("aiokafka.conn")) + outage.filter(record("mode.worker"))
        clock.now += 1.0
    assert passed == 1


def test_the_next_outage_has_its_line_again(outage: OneLineAnOutage, clock: SteppedClock) -> None:
    assert outage.filter(record("aiokafka"))
    clock.now += QUIET_S
    assert outage.filter(record("aiokafka"))


def test_what_the_application_says_always_passes(outage: OneLineAnOutage) -> None:
    outage.filter(record("aiokafka"))
    assert outage.filter(record("stream_app.worker.service"))
    assert outage.filter(record("stream_app.worker.service", logging.INFO))


def test_a_fatal_record_of_a_library_always_passes(outage: OneLineAnOutage) -> None:
    outage.filter(record("faust.app"))
    assert outage.filter(record("faust.app", logging.CRITICAL))


def test_services_of_our_own_are_as_quiet_as_those_of_the_library() -> None:
    importlib.import_module("stream_app.worker.faust_app")
    kinds: list[type[Any]] = [Service]
    ours: dict[str, str] = {}
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("stream_app."):
            ours[kind.__name__] = kind.logger.name
    assert "BatchConsumer" in ours
    assert not [kind for kind, name in ours.items() if not name.startswith(LIBRARIES)]


def test_a_connection_that_ends_oddly_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO")
    try:
        raise RuntimeError("cannot reuse already awaited coroutine")
    except RuntimeError:
        logging.getLogger("aiokafka.conn").exception("Unexpected exception in AIOKafkaConnection")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "Unexpected exception in AIOKafkaConnection: "
        "RuntimeError('cannot reuse already awaited coroutine')"
    )
