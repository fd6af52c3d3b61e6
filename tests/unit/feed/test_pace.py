from __future__ import annotations

import math

import pytest

from stream_app.feed.pace import Pace, Speed


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("max", Speed()),
        ("60x", Speed(factor=60.0)),
        ("0.5x", Speed(factor=0.5)),
        ("500/s", Speed(per_second=500.0)),
    ],
)
def test_speeds_are_parsed(text: str, speed: Speed) -> None:
    assert Speed.parse(text) == speed


@pytest.mark.parametrize(
    "text", ["", "fast", "60", "x", "0x", "-1x", "0/s", "1e3/s", "nanx", "5/m"]
)
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no speed: looked for max, .* 60x, .* 500/s$"):
        Speed.parse(text)


def test_at_most_speed_every_tick_is_due_at_once() -> None:
    clock = FakeClock()
    pace = Pace(Speed(), clock=clock)

    assert [pace.due(ts) for ts in (0, 60_000, 10**12)] == [1000.0] * 3


def test_times_event_time_a_tick_is_due_after_its_share_of_event_time() -> None:
    clock = FakeClock()
    pace = Pace(Speed(factor=60.0), clock=clock)

    dues = []
    for ts in (5_000, 65_000, 125_000, 125_000, 95_000):
        dues.append(pace.due(ts))
        clock.now += 0.3  # slower or not, the schedule stays

    assert dues == [1000.0, 1001.0, 1002.0, 1002.0, 1001.5]


def test_ticks_a_second_are_spread_evenly_whatever_their_event_time() -> None:
    pace = Pace(Speed(per_second=4.0), clock=FakeClock())

    assert [pace.due(ts) for ts in (0, 0, 9, 1)] == [1000.0, 1000.25, 1000.5, 1000.75]


def test_the_schedule_starts_at_the_first_tick_and_not_before() -> None:
    clock = FakeClock()
    pace = Pace(Speed(per_second=1.0), clock=clock)
    clock.now = 2000.0

    assert pace.due(0) == 2000.0


@pytest.mark.parametrize(
    ("speed", "event_seconds"),
    [(Speed(), math.inf), (Speed(factor=3.0), 3.0), (Speed(per_second=500.0), 50.0)],
)
def test_a_speed_tells_how_fast_event_time_passes(speed: Speed, event_seconds: float) -> None:
    assert speed.event_seconds(ticks_per_event_second=10.0) == event_seconds
