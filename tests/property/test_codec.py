from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages.codec import (
    decode_bar,
    decode_retrain_event,
    encode_bar,
    encode_retrain_event,
)
from stream_app.messages.schemas import Bar, Rejection, RetrainEvent, Source, Tick
from stream_app.messages.ticks import REASONS, decode_tick, encode_tick
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from tests.strategies import symbols

prices = st.floats(min_value=1e-9, max_value=1e12)
ticks = st.builds(
    Tick,
    symbol=symbols,
    price=prices,
    ts=st.integers(EARLIEST_TS, LATEST_TS),
    size=st.one_of(st.none(), st.floats(0, 1e12)),
    source=st.one_of(st.none(), st.text(max_size=64)),
)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(ticks)
def test_a_tick_goes_through_bytes_and_back(tick: Tick) -> None:
    assert decode_tick(encode_tick(tick), tick.symbol.encode(), tick.ts, 0.0) == tick


@given(st.one_of(st.none(), st.binary(max_size=200)), st.one_of(st.none(), st.binary(max_size=20)))
def test_any_bytes_give_a_tick_or_a_known_reason(value: bytes | None, key: bytes | None) -> None:
    decoded = decode_tick(value, key, 0, 0.0)
    assert isinstance(decoded, Rejection)
    assert decoded.reason in REASONS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["symbol", "price", "ts", "size", "source", "extra"]), json_values
    )
)
def test_any_json_object_gives_a_tick_or_a_known_reason(message: dict[str, object]) -> None:
    decoded = decode_tick(orjson.dumps(message), b"A", LATEST_TS, 0.0)
    assert isinstance(decoded, Tick) or decoded.reason in REASONS


@given(
    st.builds(
        Bar,
        symbol=symbols,
        ts_open=st.integers(EARLIEST_TS, LATEST_TS),
        ts_last=st.integers(EARLIEST_TS, LATEST_TS),
        bar_s=st.integers(1, 86400),
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=st.floats(0, 1e12),
        ticks=st.integers(1, 2**31),
        empty_before=st.integers(0, 1000),
        kalman_velocity=finite,
        kalman_innovation=finite,
        forecast=st.one_of(st.none(), finite),
        state=st.just({"floor": 3}),
        source=st.builds(
            Source, topic=st.text(max_size=8), partition=st.just(1), offset=st.integers(0, 2**62)
        ),
    )
)
def test_a_bar_goes_through_bytes_and_back_exactly(bar: Bar) -> None:
    assert decode_bar(encode_bar(bar)) == bar


@given(
    st.builds(
        RetrainEvent,
        cycle=st.text(max_size=12),
        state=st.sampled_from(["started", "succeeded", "failed", "timed_out"]),
        trigger=st.sampled_from(["initial", "growth", "scheduled", "drift"]),
        timestamp=st.text(max_size=24),
        duration_seconds=st.floats(0, 1e6),
        model_seconds=st.dictionaries(symbols, st.floats(0, 1e6), max_size=4),
        lstm_included=st.booleans(),
        target_seconds=st.floats(0, 1e6),
        exceeded=st.booleans(),
        rows=st.integers(0, 2**40),
        versions=st.dictionaries(symbols, st.text(max_size=8), max_size=3),
        symbols=st.lists(symbols, max_size=3).map(tuple),
        worker=st.text(max_size=10),
        reasons=st.lists(st.text(max_size=10), max_size=2).map(tuple),
        plan=st.dictionaries(st.sampled_from(["symbols", "fit"]), st.floats(0, 1e6)),
    )
)
def test_a_retrain_event_goes_through_bytes_and_back(event: RetrainEvent) -> None:
    assert decode_retrain_event(encode_retrain_event(event)) == event
