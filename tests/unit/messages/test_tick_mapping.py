"""Records as other feeds write them: read right with a mapping, explained without one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import ConfigError
from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.tick_mapping import TickMapping, check_fields, decoder_for, encoder_for
from stream_app.messages.ticks import MAX_PRICE, MIN_PRICE, REASONS, decode_tick
from stream_app.messages.times import EARLIEST_TS, LATEST_TS, TimeUnit, from_ms, to_ms
from stream_app.settings import load_settings
from tests.builders import START_MS
from tests.strategies import symbols

NOW = START_MS
PREFIX = b"\x00\x00\x00\x00\x07"
QUOTED = TickMapping(fields={"price": "price"})
BINANCE = TickMapping(fields={"symbol": "s", "price": "p", "ts": "T", "size": "q"})
ENVELOPE = TickMapping(
    fields={name: f"payload.{name}" for name in ("symbol", "price", "ts", "size", "source")}
)
NO_KEY = TickMapping(key_required=False)


def seconds(unit: TimeUnit) -> TickMapping:
    return TickMapping(time_unit=unit)


def read(value: bytes, mapping: TickMapping, key: bytes | None = b"BTCUSDT") -> Tick:
    decoded = decoder_for(mapping)(value, key, NOW, 0.0)
    assert isinstance(decoded, Tick), decoded
    return decoded


def refused(value: bytes, mapping: TickMapping, key: bytes | None = b"BTCUSDT") -> Rejection:
    decoded = decoder_for(mapping)(value, key, NOW, 0.0)
    assert isinstance(decoded, Rejection), decoded
    assert decoded.reason in REASONS
    assert decoded.detail.isprintable()
    return decoded


PLAIN = b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200000}'
TICK = Tick(symbol="BTCUSDT", price=46217.5, ts=START_MS)

FEEDS: list[tuple[str, bytes, TickMapping, bytes | None, str, str]] = [
    (
        "price as a string",
        b'{"symbol":"BTCUSDT","price":"46217.50","ts":1640995200000}',
        QUOTED,
        b"BTCUSDT",
        "wrong_type",
        'set TICK_FIELDS={"price":"price"} to read numbers in quotes',
    ),
    (
        "ts in quotes",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":"1640995200000"}',
        QUOTED,
        b"BTCUSDT",
        "wrong_type",
        'set TICK_FIELDS={"ts":"ts"} to read numbers in quotes',
    ),
    (
        "ts with parts of a millisecond",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200000.75}',
        TickMapping(fields={"ts": "ts"}),
        b"BTCUSDT",
        "wrong_type",
        'set TICK_FIELDS={"ts":"ts"} to cut off parts of a millisecond',
    ),
    (
        "seconds",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200}',
        seconds("s"),
        b"BTCUSDT",
        "bad_time",
        "it looks like seconds: set TICK_TIME_UNIT=s",
    ),
    (
        "seconds with a fraction",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200.0001}',
        seconds("s"),
        b"BTCUSDT",
        "wrong_type",
        "it looks like seconds: set TICK_TIME_UNIT=s",
    ),
    (
        "microseconds",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200000123}',
        seconds("us"),
        b"BTCUSDT",
        "bad_time",
        "it looks like microseconds: set TICK_TIME_UNIT=us",
    ),
    (
        "nanoseconds",
        b'{"symbol":"BTCUSDT","price":46217.5,"ts":1640995200000123456}',
        seconds("ns"),
        b"BTCUSDT",
        "bad_time",
        "it looks like nanoseconds: set TICK_TIME_UNIT=ns",
    ),
    ("no key", PLAIN, NO_KEY, None, "key_mismatch", "no key for symbol 'BTCUSDT': send the symbol"),
    (
        "key in quotes",
        PLAIN,
        NO_KEY,
        b'"BTCUSDT"',
        "key_mismatch",
        "the key is in quotes; send it without, or set TICK_KEY=ignored",
    ),
    (
        "key with a prefix",
        PLAIN,
        NO_KEY,
        PREFIX + b"BTCUSDT",
        "key_mismatch",
        "the key has a schema registry's five bytes; set TICK_KEY=ignored",
    ),
    (
        "a schema registry's prefix",
        PREFIX + PLAIN,
        QUOTED,
        b"BTCUSDT",
        "not_json",
        'begins with a schema registry\'s five bytes: set TICK_FIELDS={"price":"price"}',
    ),
    (
        "an envelope",
        b'{"schema":{"type":"struct"},"payload":' + PLAIN + b"}",
        ENVELOPE,
        b"BTCUSDT",
        "missing_field",
        'the tick is in \'payload\': set TICK_FIELDS={"symbol":"payload.symbol",',
    ),
    (
        "other names",
        b'{"e":"trade","s":"BTCUSDT","t":12345,"p":"46217.50000000","T":1640995200000}',
        BINANCE,
        b"BTCUSDT",
        "missing_field",
        "symbol; the object has 'e', 's', 't', 'p', 'T': name its fields with TICK_FIELDS",
    ),
]


@pytest.mark.parametrize(
    ("value", "mapping", "key", "reason", "told"),
    [feed[1:] for feed in FEEDS],
    ids=[feed[0] for feed in FEEDS],
)
def test_a_feed_is_refused_with_the_cause_and_read_with_the_mapping(
    value: bytes, mapping: TickMapping, key: bytes | None, reason: str, told: str
) -> None:
    rejection = refused(value, TickMapping(), key)
    assert rejection.reason == reason
    assert told in rejection.detail
    assert read(value, mapping, key) == TICK


def test_what_a_hint_says_to_set_is_a_setting_that_reads_the_tick() -> None:
    value = b'{"payload":{"after":' + PLAIN[:-1] + b',"size":"0.50"}}}'
    detail = refused(value, TickMapping()).detail
    fields = orjson.loads(detail.partition("set TICK_FIELDS=")[2])
    assert read(value, load_settings(tick_fields=fields).tick_mapping).size == 0.5


def test_the_default_is_the_strict_decoder_itself() -> None:
    assert load_settings().tick_mapping.is_strict
    assert decoder_for(load_settings().tick_mapping) is decode_tick


@pytest.mark.parametrize(
    "settings",
    [{"tick_fields": {"price": "price"}}, {"tick_time_unit": "s"}, {"tick_key": "ignored"}],
)
def test_any_setting_makes_quotes_and_a_prefix_readable(settings: dict[str, Any]) -> None:
    mapping = load_settings(**settings).tick_mapping
    ts = from_ms(START_MS, mapping.time_unit)
    value = PREFIX + orjson.dumps({"symbol": "A", "price": "1.5", "ts": str(ts), "size": "2"})
    assert read(value, mapping, b"A") == Tick(symbol="A", price=1.5, ts=START_MS, size=2.0)


@given(st.floats(MIN_PRICE, MAX_PRICE))
def test_a_number_in_quotes_is_read_exactly(price: float) -> None:
    value = orjson.dumps({"symbol": "A", "price": repr(price), "ts": START_MS, "size": repr(price)})
    tick = read(value, QUOTED, b"A")
    assert tick.price == tick.size == price


@pytest.mark.parametrize(
    "text", ["", "nan", "Infinity", "1_000", "0x10", "1,5", "true", "[1]", "1e999", "\u0661", "--1"]
)
def test_a_text_that_is_no_number_of_json_is_refused(text: str) -> None:
    value = orjson.dumps({"symbol": "A", "price": text, "ts": START_MS})
    assert refused(value, QUOTED, b"A").reason == "wrong_type"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@given(ts=st.integers(EARLIEST_TS, LATEST_TS))
def test_a_time_is_exact_in_every_unit(unit: TimeUnit, ts: int) -> None:
    assert to_ms(from_ms(ts, unit), unit) == ts
    assert to_ms(float(from_ms(ts, unit)), unit) == pytest.approx(ts, abs=1)


def test_parts_of_a_millisecond_are_cut_off() -> None:
    for unit, time in (
        ("s", 1640995200.1239), ("ms", 1640995200123.9), ("us", 1640995200123999),
        ("ns", 1640995200123999999),
    ):  # fmt: skip
        value = orjson.dumps({"symbol": "A", "price": 1, "ts": time})
        mapping = TickMapping(time_unit=unit, fields={"price": "price"})  # type: ignore[arg-type]
        decoded = decoder_for(mapping)(value, b"A", NOW + 1000, 0.0)
        assert isinstance(decoded, Tick)
        assert decoded.ts == 1640995200123


def test_an_optional_field_can_be_left_out_where_it_means_something_else() -> None:
    value = b'{"symbol":"A","price":1.0,"ts":1640995200000,"source":{"db":"x"},"size":"big"}'
    left_out = TickMapping(fields={"source": "", "size": ""})
    assert refused(value, QUOTED, b"A").reason == "wrong_type"
    assert read(value, left_out, b"A") == Tick(symbol="A", price=1.0, ts=START_MS)
    assert read(value[:-1] + b',"":3}', left_out, b"A").size is None


def test_a_trades_number_is_its_id() -> None:
    value = b'{"s":"A","p":"1","T":1640995200000,"t":12345}'
    mapping = TickMapping(fields=dict(BINANCE.fields) | {"id": "t"})
    assert read(value, mapping, b"A").id == "12345"


def test_a_refusal_by_a_mapping_speaks_of_the_feeds_own_names_and_units() -> None:
    assert refused(b'{"s":"A","p":"x","T":1640995200000}', BINANCE, b"A").detail == (
        "price is text 'x', wanted a number (price, read from 'p')"
    )
    assert refused(b'{"s":"A","T":1640995200000}', BINANCE, b"A").detail == (
        "price, read from 'p'; the object has 's', 'T': name its fields with TICK_FIELDS"
    )
    assert refused(b'{"s":"A","p":"1","T":1640995200}', BINANCE, b"A").detail == (
        "1640995200 as ms; it looks like seconds: set TICK_TIME_UNIT=s (ts, read from 'T')"
    )
    assert refused(PLAIN, seconds("s")).detail == (
        "1640995200000 as s; it looks like milliseconds: set TICK_TIME_UNIT=ms"
    )


def test_what_follows_a_prefix_but_is_no_json_is_told() -> None:
    for mapping in (TickMapping(), QUOTED):
        rejection = refused(PREFIX + b"\x0eBTCUSDT\x02", mapping)
        assert rejection.reason == "not_json"
        assert "send JSON, not Avro or Protobuf" in rejection.detail
    assert refused(PREFIX, QUOTED).reason == "not_json"
    assert refused(PREFIX + b"[]", QUOTED).reason == "not_object"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"prize": "p"}, "'prize' is no field of a tick; allowed are symbol, price, ts"),
        ({"price": ""}, "price is read from ''; give a name"),
        ({"price": "data..p"}, "price is read from 'data..p'; give a name"),
        ({"price": "p."}, "price is read from 'p.'"),
        ({"price": "p", "size": "p"}, "give each field a place of its own"),
        ({"price": "p", "ts": "p.ts"}, "ts is read from 'p.ts' and price from 'p'"),
        ({"price": "ts"}, "price is read from 'ts' and ts from 'ts'"),
        ({"price": "size"}, 'name optional ones "" where the feed has none'),
    ],
)
def test_a_mapping_that_cannot_be_right_is_refused_at_the_start(
    fields: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=r"is read from|is no field"):
        check_fields(fields)
    with pytest.raises(ConfigError) as refusal:
        load_settings(tick_fields=fields)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_mapping_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICK_FIELDS", '{"symbol":"s","price":"p","ts":"T","size":"q"}')
    loaded = load_settings()
    assert loaded.tick_mapping == BINANCE
    monkeypatch.delenv("TICK_FIELDS")
    for name, value in loaded.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings().tick_mapping == BINANCE


MAPPINGS = st.builds(
    TickMapping,
    fields=st.fixed_dictionaries(
        {},
        optional={
            "symbol": st.sampled_from(["s", "a.s", "a.b.c.s"]),
            "price": st.sampled_from(["p", "a.p", "d.p"]),
            "ts": st.sampled_from(["T", "a.T", "a.b.T"]),
            "size": st.sampled_from(["", "q", "a.q"]),
            "source": st.sampled_from(["", "x", "a.x"]),
            "id": st.sampled_from(["", "t", "a.t"]),
        },
    ),
    time_unit=st.sampled_from(["s", "ms", "us", "ns"]),
    key_required=st.booleans(),
)
TICKS = st.builds(
    Tick,
    symbol=symbols,
    price=st.floats(MIN_PRICE, MAX_PRICE),
    ts=st.integers(EARLIEST_TS, LATEST_TS),
    size=st.none() | st.floats(0, MAX_PRICE),
    source=st.none() | st.text(max_size=64),
    id=st.none() | st.text(max_size=64),
)


@given(MAPPINGS, TICKS)
def test_a_tick_goes_through_every_mapping_and_back(mapping: TickMapping, tick: Tick) -> None:
    value = encoder_for(mapping)(tick)
    decoded = decoder_for(mapping)(value, tick.symbol.encode(), tick.ts, 0.0)
    assert isinstance(decoded, Tick), decoded
    for name in ("symbol", "price", "ts"):
        assert getattr(decoded, name) == getattr(tick, name)
    for name in ("size", "source", "id"):
        wanted = getattr(tick, name) if mapping.place(name) else None
        assert getattr(decoded, name) == wanted
    if not mapping.is_strict:
        assert decoder_for(mapping)(PREFIX + value, tick.symbol.encode(), tick.ts, 0.0) == decoded


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=10)
    | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["1.5", "1e5", str(NOW)]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "c", "s", "p", "T", "q", "x", "price"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(
    MAPPINGS,
    st.one_of(st.none(), st.binary(max_size=100), JSON.map(orjson.dumps)),
    st.one_of(st.none(), st.binary(max_size=20)),
    st.booleans(),
)
def test_any_bytes_give_a_tick_or_a_known_reason(
    mapping: TickMapping, value: bytes | None, key: bytes | None, prefixed: bool
) -> None:
    whole = PREFIX + value if prefixed and value is not None else value
    decoded = decoder_for(mapping)(whole, key, LATEST_TS, 0.0)
    if isinstance(decoded, Rejection):
        assert decoded.reason in REASONS
        assert decoded.detail.isprintable()
        assert 0 < len(decoded.detail) < 600
    else:
        assert EARLIEST_TS <= decoded.ts <= LATEST_TS
        assert MIN_PRICE <= decoded.price <= MAX_PRICE
