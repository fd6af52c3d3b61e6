from __future__ import annotations

import io

from rich.console import Console

from stream_app.terminal.progress import ProgressView, utc

TS = 1_640_995_200_999


class FakeClock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_it_is_a_line_every_few_seconds() -> None:
    sink, clock = io.StringIO(), FakeClock()

    with ProgressView(20_000, Console(file=sink), clock=clock) as view:
        for second in range(12):
            clock.now = 50.0 + second
            view.update(1000 * second, TS)

    assert sink.getvalue().splitlines() == [
        "feed: 5,000 of 20,000 ticks, 1,000/s, event time 2022-01-01T00:00:00Z",
        "feed: 10,000 of 20,000 ticks, 1,000/s, event time 2022-01-01T00:00:00Z",
    ]


def test_without_an_end_there_is_no_total() -> None:
    sink, clock = io.StringIO(), FakeClock()

    with ProgressView(None, Console(file=sink), clock=clock) as view:
        clock.now += 10
        view.update(30, TS)

    assert sink.getvalue() == "feed: 30 ticks, 3/s, event time 2022-01-01T00:00:00Z\n"


def test_on_a_terminal_it_is_a_bar() -> None:
    sink, clock = io.StringIO(), FakeClock()
    console = Console(file=sink, force_terminal=True, width=120)

    with ProgressView(100, console, clock=clock) as view:
        clock.now += 1
        view.update(50, TS)

    assert "50 of 100 ticks, 50/s, event time 2022-01-01T00:00:00Z" in sink.getvalue()
    assert "feed:" not in sink.getvalue()


def test_event_times_are_shown_in_utc() -> None:
    assert utc(TS) == "2022-01-01T00:00:00Z"
