from __future__ import annotations

import pytest

from stream_app.overview.flood import CALM, MAX_SHARE, MIN_LETTERS, WINDOW_S, Flood
from tests.builders import SteppedClock


@pytest.fixture
def flood(clock: SteppedClock) -> Flood:
    return Flood(clock)


def minute(flood: Flood, clock: SteppedClock, records: int, letters: int) -> set[bool]:
    """A minute with so many records and letters a second; whether it was on after each."""
    was_on = set()
    for _ in range(WINDOW_S):
        clock.now += 1
        flood.note(records, letters)
        was_on.add(flood.is_on())
    return was_on


def test_no_records_are_no_flood(flood: Flood) -> None:
    assert not flood.is_on()


def test_few_letters_are_no_flood_however_large_their_share(
    flood: Flood, clock: SteppedClock
) -> None:
    assert minute(flood, clock, 1, 1) == {False}
    flood.note(1, 1)
    assert MIN_LETTERS == WINDOW_S
    assert flood.is_on()


def test_a_small_share_is_no_flood_however_many_letters(flood: Flood, clock: SteppedClock) -> None:
    letters = int(1000 * MAX_SHARE)
    assert minute(flood, clock, 1000, letters) == {False}
    flood.note(1, 1)
    assert flood.is_on()


def test_a_rate_at_the_bound_does_not_flicker(flood: Flood, clock: SteppedClock) -> None:
    minute(flood, clock, 1000, 0)
    minute(flood, clock, 1000, int(1000 * MAX_SHARE) + 3)
    # Now below the bound and now above it: still one flood.
    for _ in range(5):
        assert minute(flood, clock, 1000, int(1000 * MAX_SHARE) - 3) == {True}
        assert minute(flood, clock, 1000, int(1000 * MAX_SHARE) + 3) == {True}
    minute(flood, clock, 1000, int(1000 * MAX_SHARE * CALM))
    assert not flood.is_on()


def test_it_ends_in_silence_too(flood: Flood, clock: SteppedClock) -> None:
    flood.note(1000, 1000)
    assert flood.is_on()
    clock.now += WINDOW_S - 1
    assert flood.is_on()
    clock.now += 2
    assert not flood.is_on()


def test_what_is_older_than_the_window_no_longer_counts(flood: Flood, clock: SteppedClock) -> None:
    flood.note(MIN_LETTERS, MIN_LETTERS)
    clock.now += WINDOW_S + 1
    flood.note(1, 1)
    assert not flood.is_on()
    assert minute(flood, clock, 1000, 0) == {False}
    assert (flood._records, flood._letters) == (1000 * WINDOW_S, 0)
    assert len(flood._seconds) <= WINDOW_S + 1
