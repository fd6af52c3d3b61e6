from __future__ import annotations

import gzip

import orjson
import pytest

from stream_app.messages.codec import (
    decode_bar,
    decode_retrain_event,
    encode_bar,
    encode_retrain_event,
)
from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.ticks import REASONS, decode_tick
from tests.fuzz_codec import BAR, EVENT

NOW = 1_650_000_000_000
GOOD = b'{"symbol":"BTC","price":1.5,"ts":1650000000000}'


def reject(value: bytes | None, key: bytes | None = b"BTC", max_future_ms: float = 1000) -> str:
    decoded = decode_tick(value, key, NOW, max_future_ms)
    assert isinstance(decoded, Rejection), decoded
    assert "\n" not in decoded.detail
    return decoded.reason


def test_a_good_tick_is_a_tick() -> None:
    assert decode_tick(GOOD, b"BTC", NOW, 0) == Tick(symbol="BTC", price=1.5, ts=NOW)


def test_an_integer_price_is_a_price() -> None:
    tick = decode_tick(b'{"symbol":"BTC","price":2,"ts":1650000000000}', b"BTC", NOW, 0)
    assert isinstance(tick, Tick)
    assert tick.price == 2.0


CASES = [
    (None, "not_json"),
    (b"", "not_json"),
    (b"{", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b'{"symbol":"BTC","price":NaN,"ts":1650000000000}', "not_json"),
    (b'{"symbol":"BTC","price":Infinity,"ts":1650000000000}', "not_json"),
    (b"[" * 3000, "not_json"),
    (b"[1]", "not_object"),
    (b"3", "not_object"),
    (b'"BTC"', "not_object"),
    (b"null", "not_object"),
    (b'{"price":1,"ts":1650000000000}', "missing_field"),
    (b'{"symbol":"BTC","ts":1650000000000}', "missing_field"),
    (b'{"symbol":"BTC","price":1}', "missing_field"),
    (b'{"symbol":3,"price":1,"ts":1650000000000}', "wrong_type"),
    (b'{"symbol":"BTC","price":"1","ts":1650000000000}', "wrong_type"),
    (b'{"symbol":"BTC","price":"NaN","ts":1650000000000}', "wrong_type"),
    (b'{"symbol":"BTC","price":true,"ts":1650000000000}', "wrong_type"),
    (b'{"symbol":"BTC","price":null,"ts":1650000000000}', "wrong_type"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000000.5}', "wrong_type"),
    (b'{"symbol":"BTC","price":1,"ts":"2022-01-01"}', "wrong_type"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000000,"size":"3"}', "wrong_type"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000000,"source":5}', "wrong_type"),
    (b'{"symbol":"","price":1,"ts":1650000000000}', "bad_symbol"),
    (b'{"symbol":"A\\u200b","price":1,"ts":1650000000000}', "bad_symbol"),
    (b'{"symbol":"A B","price":1,"ts":1650000000000}', "bad_symbol"),
    (b'{"symbol":"BTC\\n","price":1,"ts":1650000000000}', "bad_symbol"),
    (b'{"symbol":"BTC","price":0,"ts":1650000000000}', "bad_price"),
    (b'{"symbol":"BTC","price":-1,"ts":1650000000000}', "bad_price"),
    (b'{"symbol":"BTC","price":-0.0,"ts":1650000000000}', "bad_price"),
    (b'{"symbol":"BTC","price":1e308,"ts":1650000000000}', "bad_price"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000000,"size":-1}', "bad_size"),
    (b'{"symbol":"BTC","price":1,"ts":0}', "bad_time"),
    (b'{"symbol":"BTC","price":1,"ts":-5}', "bad_time"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000}', "bad_time"),
    (b'{"symbol":"BTC","price":1,"ts":1650000000000000}', "bad_time"),
    (b'{"symbol":"BTC","price":1,"ts":1650000002000}', "future_time"),
]


@pytest.mark.parametrize(("value", "reason"), CASES, ids=range(len(CASES)))
def test_each_kind_of_bad_tick_is_named(value: bytes | None, reason: str) -> None:
    assert reject(value) == reason


DETAILS = [
    (b'{"symbol":"BTC","price":null,"ts":1650000000000}', "price is null, wanted a number"),
    (b'{"symbol":"BTC","price":[1],"ts":1650000000000}', "price is an array, wanted a number"),
    (b'{"symbol":"BTC","price":{"a":1},"ts":1650000000000}', "price is an object, wanted a number"),
    (b'{"symbol":"BTC","price":true,"ts":1650000000000}', "price is true, wanted a number"),
    (
        b'{"symbol":7,"price":1,"ts":1650000000000}',
        'symbol is the number 7, wanted a string; send it in quotes, "7"',
    ),
    (
        b'{"symbol":"BTC","price":1,"ts":"2022-01-01T00:00:00+01:00"}',
        "ts is text '2022-01-01T00:00:00+01:00', wanted an integer, epoch milliseconds; it is an "
        "ISO 8601 time: send epoch milliseconds, here 1640991600000",
    ),
    (
        b'{"symbol":"BTC","price":1,"ts":"2022-01-01T00:00:00"}',
        "ts is text '2022-01-01T00:00:00', wanted an integer, epoch milliseconds; it is an "
        "ISO 8601 time: send epoch milliseconds, here 1640995200000 if it is UTC",
    ),
    (
        b'{"symbol":"BTC","price":1,"ts":"noon"}',
        "ts is text 'noon', wanted an integer, epoch milliseconds",
    ),
    (
        b'{"symbol":"BTC","price":1,"ts":1650000002000}',
        "ts is 1650000002000, 2 s after the record's time 1650000000000: set the feed's clock, "
        "send UTC, or raise MAX_FUTURE_SECONDS",
    ),
    (b"[1]", "it is an array"),
    (b"null", "it is null"),
    (b'"BTC"', "it is text 'BTC'"),
    (b"3", "it is the number 3"),
]


@pytest.mark.parametrize(("value", "detail"), DETAILS, ids=range(len(DETAILS)))
def test_a_detail_gives_the_value_in_the_words_of_json(value: bytes, detail: str) -> None:
    rejection = decode_tick(value, b"BTC", NOW, 0)
    assert isinstance(rejection, Rejection)
    assert rejection.detail == detail


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (GOOD.decode().encode("utf-16"), "it is UTF-16, not UTF-8 text: send UTF-8"),
        (GOOD.decode().encode("utf-16-le"), "it is UTF-16, not UTF-8 text: send UTF-8"),
        (GOOD.decode().encode("utf-16-be"), "it is UTF-16, not UTF-8 text: send UTF-8"),
        (b'{"symbol":"\xe4","price":1}', "it is not UTF-8 text: send JSON in UTF-8"),
        (b'{"symbol":"BTC","price":NaN,"ts":1}', "NaN and Infinity are no JSON: send a number"),
        (b'{"price":-Infinity,"ts":1}', "NaN and Infinity are no JSON: send a number"),
    ],
    ids=range(6),
)
def test_the_likely_cause_of_what_is_no_json_is_told(value: bytes, cause: str) -> None:
    rejection = decode_tick(value, b"BTC", NOW, 0)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "not_json"
    assert cause in rejection.detail


def test_a_broken_object_that_holds_the_word_nan_is_not_said_to_fail_by_it() -> None:
    rejection = decode_tick(b'{"symbol":"NaN","price":1', b"NaN", NOW, 0)
    assert isinstance(rejection, Rejection)
    assert "NaN" not in rejection.detail


def test_a_value_in_a_detail_is_short_and_printable() -> None:
    value = orjson.dumps({"symbol": "BTC", "price": "\u001b\U0001f600" * 10_000, "ts": 1})
    rejection = decode_tick(value, b"BTC", NOW, 0)
    assert isinstance(rejection, Rejection)
    assert rejection.detail.isprintable()
    assert len(rejection.detail) < 250


def test_a_value_over_64_kib_is_too_large() -> None:
    padded = GOOD[:-1] + b',"extra":"' + b"x" * 65_536 + b'"}'
    assert reject(padded) == "too_large"


def test_a_price_beyond_a_float_is_rejected() -> None:
    assert reject(b'{"symbol":"BTC","price":1e999,"ts":1650000000000}') in {"not_json", "bad_price"}


@pytest.mark.parametrize("key", [None, b"", b"ETH", b"btc", b"\xff"])
def test_a_key_that_is_not_the_symbol_is_a_mismatch(key: bytes | None) -> None:
    assert reject(GOOD, key) == "key_mismatch"


def test_every_reason_is_reached_by_some_case() -> None:
    reached = {reason for _, reason in CASES} | {"too_large", "key_mismatch"}
    assert reached == set(REASONS)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"symbol":"A"}', b'{"source":3}'])
def test_what_is_no_bar_is_said_so(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a bar"):
        decode_bar(value)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"3"])
def test_what_is_no_retrain_event_is_said_so(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a retrain event"):
        decode_retrain_event(value)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
@pytest.mark.parametrize("old", [b'"volume":3.5', b'"floor":3'])
def test_a_bar_holds_no_number_that_is_not_finite(old: bytes, number: bytes) -> None:
    encoded = encode_bar(BAR)
    assert old in encoded
    name = old.partition(b":")[0]
    with pytest.raises(ValueError, match="not a bar"):
        decode_bar(encoded.replace(old, name + b":" + number))


def test_a_whole_number_longer_than_64_bits_is_no_count() -> None:
    with pytest.raises(ValueError, match="not a bar: ticks: Input should be a valid integer"):
        decode_bar(encode_bar(BAR).replace(b'"ticks":4', b'"ticks":123456789012345678901'))


def test_a_whole_number_is_a_price() -> None:
    bar = decode_bar(encode_bar(BAR).replace(b'"close":2.0', b'"close":2'))
    assert (bar.close, type(bar.close)) == (2.0, float)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"other": 1}, "other: Unexpected keyword argument"),
        ({"source": {"topic": "t", "partition": 1, "offset": 1, "more": 1}}, "source.more: "),
        ({"source": {"topic": "t", "partition": 1}}, "source.offset: Field required"),
        ({"ticks": "4"}, "ticks: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_with_a_bar_is_named_by_its_place(
    change: dict[str, object], told: str
) -> None:
    message = orjson.loads(encode_bar(BAR)) | change
    with pytest.raises(ValueError, match=f"not a bar: {told}"):
        decode_bar(orjson.dumps(message))


@pytest.mark.parametrize(
    "change",
    [
        {"state": "paused"},
        {"trigger": "whim"},
        {"model_seconds": {"lstm": "1"}},
        {"versions": {"A": 1}},
    ],
)
def test_a_retrain_event_is_checked_at_every_depth(change: dict[str, object]) -> None:
    message = orjson.loads(encode_retrain_event(EVENT)) | change
    with pytest.raises(ValueError, match=f"not a retrain event: {next(iter(change))}"):
        decode_retrain_event(orjson.dumps(message))


def test_a_retrain_event_of_a_newer_version_loses_its_unknown_fields() -> None:
    message = orjson.loads(encode_retrain_event(EVENT)) | {"newer": [1]}
    assert decode_retrain_event(orjson.dumps(message)) == EVENT


ONE = b'{"symbol":"BTC","price":1.5,"ts":1650000000000}'


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"[" + ONE + b"]", "it is an array; send one object a record"),
        (ONE + b"\n" + ONE, "it is several objects: send one a record"),
        (ONE + b"\0", "a zero byte ends it, as texts end in C: send it without"),
        (orjson.dumps(ONE.decode()), "it is JSON inside a text: encode it once"),
        (gzip.compress(ONE), "it is gzip: send JSON, and let the producer's compression.type"),
        (b"\x28\xb5\x2f\xfd\0", "it is zstd: send JSON"),
        (ONE.replace(b'"BTC"', b"7203"), 'send it in quotes, "7203"'),
        (ONE.replace(b"}", b',"size":""}'), "where there is none, leave it out or send null"),
    ],
)
def test_what_ordinary_producers_do_wrong_is_told_with_its_remedy(value: bytes, told: str) -> None:
    refused = decode_tick(value, b"BTC", 1_650_000_000_000, 0.0)

    assert isinstance(refused, Rejection)
    assert told in refused.detail
