"""Closed bars all at once, as a restart enters them, beside one after the other."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.bars.jumps import usual_move, usual_moves
from stream_app.bars.message import bar_message, bar_of_message, columns_of_messages
from stream_app.bars.open_bar import OpenBar
from stream_app.bars.window import Window
from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.read_bars import ReadBar, lean, read_bar, whole
from stream_app.messages.schemas import Bar, BarForecasts, Source
from stream_app.prediction.outcomes import ClosedForecasts, Outcome, Outcomes
from stream_app.prediction.running import RunningScores
from tests.builders import START_MS

BAR_MS = 60_000
LEVELS = (0.5, 0.9)

finite = st.floats(allow_nan=False, allow_infinity=False)
returns = st.floats(-0.02, 0.02)
forecasts = st.none() | st.builds(
    BarForecasts,
    ensemble=returns,
    members=st.dictionaries(st.sampled_from(["kalman", "lstm", "mine"]), returns),
    unshrunk=st.none() | returns,
    published=st.none() | returns,
    intervals=st.sampled_from([(), ((0.5, -1e-3, 1e-3), (0.9, -1e-2, 1e-2)), ((0.9, -0.1, 0.0),)]),
)


@st.composite
def messages(draw: st.DrawFn, most: int = 60) -> list[Bar]:
    """Bars of one symbol: a walk with gaps, jumps, mistaken highs and bars that stand still."""
    price, at, made = 100.0, 0, []
    for number in range(draw(st.integers(1, most))):
        at += draw(st.sampled_from([1, 1, 1, 2, 7]))
        price *= draw(st.sampled_from([1.0, 1.0005, 0.9993, 1.0011, 0.998, 1.7, 1 / 100]))
        high = price * draw(st.sampled_from([1.0, 1.001, 3.0]))
        low = price * draw(st.sampled_from([1.0, 0.9995, 0.2]))
        ts = START_MS + at * BAR_MS
        bar = OpenBar(
            ts_open=ts,
            open=price,
            high=high,
            low=low,
            close=price,
            volume=draw(st.floats(0, 1e6)),
            ticks=number + 1,
            ts_first=ts,
            ts_last=ts + draw(st.integers(0, BAR_MS - 1)),
            kalman_velocity=draw(finite),
            kalman_innovation=draw(finite),
        )
        said = draw(forecasts)
        made.append(
            bar_message(
                "A",
                bar,
                bar_s=60,
                empty_before=0,
                forecasts=said,
                horizon_s=60,
                state={"floor": number, "kalman": {"level": 1.5}},
                source=Source(topic="t", partition=0, offset=number),
            )
        )
    return made


def as_read(bars: list[Bar]) -> list[ReadBar]:
    return [read_bar(encode_bar(bar)) for bar in bars]


def parts(items: list[Any], cuts: list[int]) -> list[list[Any]]:
    edges = [0, *sorted(min(cut, len(items)) for cut in cuts), len(items)]
    return [items[one:two] for one, two in pairwise(edges) if two > one]


cuts_of = st.lists(st.integers(0, 60), max_size=4)


def long_walk(count: int) -> list[Bar]:
    """More bars than the usual move looks back."""
    random = np.random.default_rng(4)
    made = []
    for at, step in enumerate(random.standard_normal(count) * 1e-3):
        price = math.exp(4.6 + step) if at % 50 else 9000.0
        bar = OpenBar(
            ts_open=START_MS + at * BAR_MS,
            open=price,
            high=price * 1.001,
            low=price / (1.001 if at % 7 else 2.0),
            close=price,
            volume=1.0,
            ticks=2,
            ts_first=0,
            ts_last=START_MS + at * BAR_MS,
            kalman_velocity=step,
            kalman_innovation=0.0,
        )
        made.append(
            bar_message(
                "A",
                bar,
                bar_s=60,
                empty_before=0,
                forecasts=None,
                horizon_s=60,
                state={"floor": 0},
                source=Source(topic="t", partition=0, offset=at),
            )
        )
    return made


@given(messages(), st.sampled_from([1, 5, 20, 1000]), cuts_of)
@example(long_walk(900), 400, [300, 301, 700])
@example(long_walk(900), 1000, [3, 600])
@example(long_walk(900), 200, [100])
def test_the_window_is_the_same_in_every_bit(
    bars: list[Bar], capacity: int, cuts: list[int]
) -> None:
    one, all_at_once = (Window(capacity=capacity, bar_ms=BAR_MS, grace_ms=0) for _ in range(2))
    jumped = [one.append(entered).jumped for bar in bars if (entered := bar_of_message(bar))]
    found: list[bool] = []
    for part in parts(as_read(bars), cuts):
        closed = columns_of_messages(part)
        assert closed is not None
        found += all_at_once.append_all(closed.times, closed.given, closed.ticks).tolist()
        assert closed.log_close == [math.log(bar.close) for bar in part]
    assert found == jumped
    assert len(one) == len(all_at_once)
    for window in (one, all_at_once):  # what comes next is judged by the same past
        window.append(bar_of_message(replace(bars[-1], ts_open=bars[-1].ts_open + BAR_MS)))  # type: ignore[arg-type]
    for name in ("open", "high", "low", "close", "volume", "log_jump", "move"):
        assert one.column(name).tolist() == all_at_once.column(name).tolist(), name
    assert one.ts_open.tolist() == all_at_once.ts_open.tolist()
    assert one.usual_move == all_at_once.usual_move or math.isnan(one.usual_move)
    assert math.isnan(one.usual_move) == math.isnan(all_at_once.usual_move)
    a, b = one.columns(), all_at_once.columns()
    for name in a.__dataclass_fields__:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def test_a_bar_whose_price_is_not_above_0_is_refused() -> None:
    window = Window(capacity=10, bar_ms=BAR_MS, grace_ms=0)
    closed = columns_of_messages([replace(long_walk(3)[1], low=-1.0)])
    assert closed is not None
    with pytest.raises(ValueError, match="not above 0"):
        window.append_all(closed.times, closed.given, closed.ticks)


@given(
    st.lists(st.sampled_from([0.0, 1e-4, 2e-4, 3e-4, 0.5]) | st.floats(0, 1), max_size=330),
    st.integers(1, 400),
    st.data(),
)
def test_the_usual_move_after_each_bar_is_that_of_the_bars_before(
    moves: list[float], most: int, data: st.DataObject
) -> None:
    known, first = np.array(moves), data.draw(st.integers(0, len(moves)))
    found = usual_moves(known, first, most)
    wanted = [usual_move(known[max(0, at + 1 - most) : at + 1]) for at in range(first, len(moves))]
    np.testing.assert_array_equal(found, wanted)


@given(
    messages(), st.integers(1, 9), st.sampled_from(["time", "bars"]), cuts_of, st.integers(0, 60)
)
def test_outcomes_and_running_scores_are_the_same(
    bars: list[Bar], horizon: int, by: Any, cuts: list[int], jump_at: int
) -> None:
    closed = [
        ClosedForecasts(
            bar.ts_open, math.log(bar.close or 1.0), bar.forecasts, at in (jump_at, jump_at + 9)
        )
        for at, bar in enumerate(as_read(bars))
    ]
    one, other = (
        Outcomes(horizon_ms=horizon * BAR_MS, horizon_bars=horizon, horizon_by=by) for _ in range(2)
    )
    scores, other_scores = (
        RunningScores(
            ("kalman", "lstm"),
            levels=LEVELS,
            horizon_bars=horizon,
            bar_ms=BAR_MS,
            window_bars=5000,
        )
        for _ in range(2)
    )
    wanted: list[Outcome] = []
    for each in closed:
        if (outcome := one.close(each)) is not None:
            wanted.append(outcome)
            scores.take(outcome)
    found = []
    for part in parts(closed, cuts):
        pairs = other.replay(part)
        other_scores.take_all(pairs)
        found += pairs
    assert [(each.ts_open, each.ts_target, each.forecasts, each.log_return) for each in wanted] == [
        (bar.ts_open, later.ts_open, bar.forecasts, later.log_close - bar.log_close)
        for bar, later in found
    ]
    assert list(one.waiting) == list(other.waiting)
    assert scores._end == other_scores._end
    assert len(scores._ts) == len(other_scores._ts)
    for name in ("_ts", "_rows"):
        mine, theirs = (getattr(each, name)[..., : each._end] for each in (scores, other_scores))
        assert mine.tobytes() == theirs.tobytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


def outcome_of(decode: Any, value: bytes) -> Any:
    try:
        return decode(value)
    except (ValueError, KeyError, TypeError) as error:
        return type(error), str(error)


def same_as_decoded(value: bytes) -> None:
    """Whatever it is, it is taken or refused as by `decode_bar`, for the same reason."""
    assert outcome_of(read_bar, value) == outcome_of(lambda v: lean(decode_bar(v)), value)


FIELDS = [*Bar.__dataclass_fields__, "extra"]


@hypothesis_settings(max_examples=300)
@given(messages(most=1), st.sampled_from(FIELDS), json_values)
@example(long_walk(1), "ts_open", 2**64 - 1)
@example(long_walk(1), "open", 2**64 - 1)
@example(long_walk(1), "symbol", "a b")
@example(long_walk(1), "symbol", "日経")
@example(long_walk(1), "state", {"floor": 1.5})
@example(long_walk(1), "state", {"floor": "7", "counts": [4, "8"], "topic_id": 3})
@example(long_walk(1), "state", {})
def test_a_bar_with_anything_in_a_field_is_taken_or_refused_as_decoded(
    bars: list[Bar], name: str, value: Any
) -> None:
    message = orjson.loads(encode_bar(bars[0]))
    message[name] = value
    same_as_decoded(orjson.dumps(message))


@hypothesis_settings(max_examples=300)
@given(messages(most=1), st.data())
def test_a_bar_with_damaged_bytes_is_taken_or_refused_as_decoded(
    bars: list[Bar], data: st.DataObject
) -> None:
    value = encode_bar(bars[0])
    at, end = sorted(data.draw(st.tuples(*[st.integers(0, len(value))] * 2)))
    damage = data.draw(st.binary(max_size=4) | st.sampled_from([b",", b"}", b'"', b"1e5", b"\xff"]))
    same_as_decoded(value[:at] + damage + value[end if data.draw(st.booleans()) else at :])


def test_a_number_that_is_none_is_noticed_where_the_state_is_used() -> None:
    value = encode_bar(long_walk(1)[0]).replace(b'"floor":0', b'"floor":0,"x":1e999')
    assert read_bar(value).state.floor == 0
    with pytest.raises(ValueError, match="not a bar"):
        decode_bar(value)


@given(messages(most=2))
def test_a_bar_is_whole_again_but_for_its_state(bars: list[Bar]) -> None:
    for bar in bars:
        assert whole(read_bar(encode_bar(bar))) == replace(bar, state={})
