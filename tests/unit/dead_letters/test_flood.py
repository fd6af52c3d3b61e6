from __future__ import annotations

import logging

import pytest

from stream_app.dead_letters.flood import CALM, MAX_SHARE, MIN_LETTERS, WINDOW_S, FloodAlarm
from tests.builders import SteppedClock


@pytest.fixture
def alarm(clock: SteppedClock) -> FloodAlarm:
    return FloodAlarm(clock)


def minute(alarm: FloodAlarm, clock: SteppedClock, records: int, letters: int) -> list[float]:
    """A minute with so many records and letters a second; the level after each second."""
    levels = []
    for _ in range(WINDOW_S):
        clock.now += 1
        alarm.note(records, letters)
        levels.append(alarm.level())
    return levels


def test_no_records_are_no_flood(alarm: FloodAlarm) -> None:
    assert alarm.level() == 0


def test_few_letters_are_no_flood_however_large_their_share(
    alarm: FloodAlarm, clock: SteppedClock
) -> None:
    assert minute(alarm, clock, 1, 1) == [0] * WINDOW_S
    alarm.note(1, 1)
    assert MIN_LETTERS == WINDOW_S
    assert alarm.level() == 1


def test_a_small_share_is_no_flood_however_many_letters(
    alarm: FloodAlarm, clock: SteppedClock
) -> None:
    letters = int(1000 * MAX_SHARE)
    assert minute(alarm, clock, 1000, letters) == [0] * WINDOW_S
    alarm.note(1, 1)
    assert alarm.level() == 1


def test_a_flood_is_one_line_when_it_begins_and_one_when_it_ends(
    alarm: FloodAlarm, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    minute(alarm, clock, 1000, 0)
    # At the bound, now above it and now below: still one alarm.
    for _ in range(5):
        minute(alarm, clock, 1000, int(1000 * MAX_SHARE) + 3)
        minute(alarm, clock, 1000, int(1000 * MAX_SHARE) - 3)
        assert alarm.level() == 1
    minute(alarm, clock, 1000, int(1000 * MAX_SHARE * CALM))
    assert alarm.level() == 0
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "dlq list" in said[0]
    assert "over after" in said[1]


def test_the_alarm_ends_in_silence_too(
    alarm: FloodAlarm, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    alarm.note(1000, 1000)
    assert alarm.level() == 1
    clock.now += WINDOW_S - 1
    assert alarm.level() == 1
    clock.now += 2
    assert alarm.level() == 0
    assert len(caplog.records) == 2


def test_what_is_older_than_the_window_no_longer_counts(
    alarm: FloodAlarm, clock: SteppedClock
) -> None:
    alarm.note(MIN_LETTERS, MIN_LETTERS)
    clock.now += WINDOW_S + 1
    alarm.note(1, 1)
    assert alarm.level() == 0
    assert minute(alarm, clock, 1000, 0)[-1] == 0
    assert (alarm._records, alarm._letters) == (1000 * WINDOW_S, 0)
    assert len(alarm._seconds) <= WINDOW_S + 1
