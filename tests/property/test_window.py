from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from stream_app.bars.open_bar import OpenBar
from stream_app.bars.window import Window
from stream_app.messages.schemas import Tick
from tests.builders import START_MS

BAR_MS = 60_000
GRACE_MS = 30_000

prices = st.floats(min_value=1.0, max_value=1e6)
ticks = st.lists(
    st.builds(
        lambda ms, price, size: Tick(symbol="A", price=price, ts=START_MS + ms, size=size),
        st.integers(0, 20 * BAR_MS),
        prices,
        st.one_of(st.none(), st.floats(0, 100)),
    ),
    max_size=60,
)


def run(order: list[Tick], capacity: int = 1000) -> tuple[Window, list[OpenBar]]:
    window = Window(capacity=capacity, bar_ms=BAR_MS, grace_ms=GRACE_MS)
    closed = []
    for tick in order:
        if window.main.is_late(tick.ts) or window.main.is_duplicate(tick):
            continue
        window.main.add(tick)
        for bar in window.take_closed():
            window.append(bar)
            closed.append(bar)
    return window, closed


def shape(bars: list[OpenBar]) -> list[tuple[object, ...]]:
    return [
        (b.ts_open, b.open, b.high, b.low, b.close, b.ticks, b.ts_last, round(b.volume, 6))
        for b in bars
    ]


@given(ticks, st.integers(1, 5))
def test_the_window_never_holds_more_bars_than_its_capacity(
    order: list[Tick], capacity: int
) -> None:
    window, closed = run(order, capacity)
    assert len(window) == min(capacity, len(closed))
    assert window.ts_open.tolist() == [bar.ts_open for bar in closed][-capacity:]


@given(ticks)
def test_bars_come_in_order_and_hold_their_ticks(order: list[Tick]) -> None:
    window, closed = run(order)
    bars = [*closed, *window.open_bars]
    starts = [bar.ts_open for bar in bars]
    assert starts == sorted(set(starts))
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.ts_open <= bar.ts_first <= bar.ts_last < bar.ts_open + BAR_MS


@given(ticks, st.data())
def test_within_the_grace_the_order_of_arrival_does_not_matter(
    order: list[Tick], data: st.DataObject
) -> None:
    unique = {(tick.ts, tick.price, tick.size): tick for tick in order}
    straight = sorted(unique.values(), key=lambda tick: (tick.ts, tick.price))
    # Each tick arrives up to the grace later than its event time, so none is late.
    delays = data.draw(
        st.lists(st.integers(0, GRACE_MS), min_size=len(straight), max_size=len(straight))
    )
    arrival = [
        pair[0] for pair in sorted(zip(straight, delays, strict=True), key=lambda p: p[0].ts + p[1])
    ]
    one, closed_one = run(straight)
    two, closed_two = run(arrival)
    assert shape([*closed_one, *one.open_bars]) == shape([*closed_two, *two.open_bars])


@given(ticks, st.data())
def test_a_duplicate_or_late_tick_changes_nothing(order: list[Tick], data: st.DataObject) -> None:
    once, closed_once = run(order)
    doubled = [
        again for tick in order for again in [tick] * data.draw(st.integers(1, 2), label="copies")
    ]
    twice, closed_twice = run(doubled)
    assert shape([*closed_once, *once.open_bars]) == shape([*closed_twice, *twice.open_bars])


@given(ticks)
def test_the_state_goes_through_json_and_back(order: list[Tick]) -> None:
    import orjson

    window, closed = run(order)
    copy = Window(capacity=1000, bar_ms=BAR_MS, grace_ms=GRACE_MS)
    for bar in closed:
        copy.append(bar)
    copy.restore(orjson.loads(orjson.dumps(window.state())))
    assert copy.state() == window.state()
    assert copy.columns().log_close.tolist() == window.columns().log_close.tolist()
    assert all(math.isfinite(value) for value in copy.columns().log_close)
