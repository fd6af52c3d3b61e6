"""A rollout goes on when the worker that has come could take over, and never waits for ever."""

from __future__ import annotations

import logging

import pytest

from stream_app.sharing.arrival import ARRIVES_WITHIN_S, Arrival

NONE: frozenset[int] = frozenset()


def test_a_worker_that_is_alone_has_nothing_to_wait_for() -> None:
    arrival = Arrival()
    assert not arrival.is_over  # it has no assignment yet
    arrival.note(coming=NONE, following=NONE, warm=NONE)
    assert arrival.is_over


def test_it_is_over_when_nothing_is_to_come_and_all_that_is_followed_is_warm() -> None:
    arrival = Arrival()
    arrival.note(coming={1}, following=frozenset({1}), warm=NONE)
    assert not arrival.is_over
    arrival.note(coming={1}, following=frozenset({1}), warm=frozenset({1}))
    assert not arrival.is_over, "its partitions are with the others still"
    arrival.note(coming=NONE, following=frozenset({2, 3}), warm=frozenset({2}))
    assert not arrival.is_over, "nobody could take partition 3 over"
    arrival.note(coming=NONE, following=frozenset({2, 3}), warm=frozenset({2, 3}))
    assert arrival.is_over


def test_what_comes_later_takes_nothing_back() -> None:
    arrival = Arrival()
    arrival.note(coming=NONE, following=NONE, warm=NONE)
    arrival.note(coming=NONE, following=frozenset({2}), warm=NONE)
    assert arrival.is_over


def test_it_has_its_time_and_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    at_s = [50.0]
    arrival = Arrival(lambda: at_s[0])
    arrival.note(coming=NONE, following=frozenset({2}), warm=NONE)
    at_s[0] += ARRIVES_WITHIN_S
    arrival.note(coming=NONE, following=frozenset({2}), warm=NONE)
    is_over = arrival.is_over
    assert not is_over
    at_s[0] += 1.0
    with caplog.at_level(logging.WARNING):
        assert arrival.is_over
        assert arrival.is_over
    assert caplog.text.count("it says that it is ready all the same") == 1
