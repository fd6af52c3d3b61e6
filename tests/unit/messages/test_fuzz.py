"""The codec against the fuzzers, without a broker."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import orjson
import pytest

from stream_app.messages.codec import (
    decode_bar,
    decode_retrain_event,
    encode_bar,
    encode_retrain_event,
)
from stream_app.messages.schemas import Bar, Rejection, RetrainEvent, Tick
from stream_app.messages.symbols import is_symbol
from stream_app.messages.ticks import MAX_PRICE, MIN_PRICE, REASONS, decode_tick
from tests.builders import START_MS
from tests.fuzz import malformed, unusual
from tests.fuzz_codec import BAR, EVENT, check, corpus

NOW = START_MS + 30 * 86_400_000


@pytest.mark.parametrize("seed", range(4))
def test_every_malformed_record_has_its_reason(seed: int) -> None:
    reached: Counter[str] = Counter()
    for case in malformed(seed, 4000):
        decoded = decode_tick(case.value, case.key, NOW, 300_000)
        told = f"{case.kind}: {case.value and case.value[:200]!r} with key {case.key!r}"
        assert isinstance(decoded, Rejection), f"{told} is {decoded}"
        assert decoded.reason == case.reason, f"{told} is {decoded}, not {case.reason}"
        assert decoded.detail.isprintable(), told
        assert 0 < len(decoded.detail) < 400, told
        reached[decoded.reason] += 1
    assert reached.keys() == REASONS.keys()


@pytest.mark.parametrize("seed", range(4))
def test_every_valid_record_is_a_tick_however_odd_it_looks(seed: int) -> None:
    for case in unusual(seed, 1000):
        tick = decode_tick(case.value, case.key, NOW, 300_000)
        assert isinstance(tick, Tick), f"{case.kind}: {tick}"
        assert tick.symbol == case.symbol
        assert is_symbol(tick.symbol)
        assert MIN_PRICE <= tick.price <= MAX_PRICE
        assert type(tick.price) is float
        assert tick.size is None or math.isfinite(tick.size)


def test_the_same_seed_gives_the_same_records() -> None:
    assert list(malformed(1, 700)) == list(malformed(1, 700))
    assert list(malformed(1, 700)) != list(malformed(2, 700))


def test_of_two_fields_of_one_name_the_last_counts() -> None:
    good, bad = b'"price":1.5', b'"price":-1'
    head, tail = b'{"symbol":"A",', b',"ts":%d}' % START_MS
    accepted = decode_tick(head + bad + b"," + good + tail, b"A", NOW, 0)
    refused = decode_tick(head + good + b"," + bad + tail, b"A", NOW, 0)
    assert isinstance(accepted, Tick)
    assert accepted.price == 1.5
    assert isinstance(refused, Rejection)
    assert refused.reason == "bad_price"


@pytest.mark.timeout(1800)
def test_coverage_guided_fuzzing_of_the_codec_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed; it has no wheel everywhere")
    runs = 1_000_000 if os.environ.get("STREAM_APP_CHAOS") else 20_000
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_codec", str(runs)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    assert f"Done {runs} in" in ended.stderr


OTHERS: list[object] = [None, True, 1, 1.5, "1", [], {}, ["1"]]


def altered(kept: Bar | RetrainEvent, encoded: bytes) -> Iterator[tuple[str, object, bytes, bool]]:
    """The message with one field of another type, one by one, and whether that is allowed."""
    message = orjson.loads(encoded)
    for name, hint in get_type_hints(type(kept)).items():
        allowed = {hint, *get_args(hint)} if get_origin(hint) in (None, UnionType) else set()
        for other in OTHERS:
            fits = type(other) in allowed or (type(other) is int and float in allowed)
            if fits or type(other) is not type(message[name]):
                yield name, other, orjson.dumps(message | {name: other}), fits


def test_a_bar_with_a_field_of_another_type_is_none() -> None:
    assert decode_bar(encode_bar(BAR)) == BAR
    for name, other, value, fits in altered(BAR, encode_bar(BAR)):
        if fits and name != "symbol":
            assert getattr(decode_bar(value), name) == other
        elif not fits:
            with pytest.raises(ValueError, match="not a bar"):
                decode_bar(value)


@pytest.mark.parametrize("symbol", ["A B", "A\x00", "\u202eA", "", "A\n", "A" * 65, "A\u0301"])
def test_a_bar_of_a_symbol_that_no_tick_can_have_is_none(symbol: str) -> None:
    with pytest.raises(ValueError, match="not a bar: symbol"):
        decode_bar(encode_bar(replace(BAR, symbol=symbol)))


@pytest.mark.parametrize(
    "source",
    [None, {}, [], "x", {"topic": "t", "partition": "1", "offset": 1},
     {"topic": None, "partition": 1, "offset": 1}, {"topic": "t", "partition": 1, "offset": 1.5}],
)  # fmt: skip
def test_a_bar_of_no_record_is_none(source: object) -> None:
    message = orjson.loads(encode_bar(BAR))
    with pytest.raises(ValueError, match="not a bar"):
        decode_bar(orjson.dumps(message | {"source": source}))


def test_a_retrain_event_with_a_field_of_another_type_is_none() -> None:
    assert decode_retrain_event(encode_retrain_event(EVENT)) == EVENT
    for name, other, value, fits in altered(EVENT, encode_retrain_event(EVENT)):
        if fits:
            assert getattr(decode_retrain_event(value), name) == other
        elif name not in ("state", "trigger", "symbols", "reasons") or type(other) is not str:
            with pytest.raises(ValueError, match="not a retrain event"):
                decode_retrain_event(value)


@pytest.mark.parametrize("items", ["text", {"a": 1}, None, 3, [1], [["a"]], [None]])
@pytest.mark.parametrize("name", ["symbols", "reasons"])
def test_a_retrain_event_has_lists_of_texts(name: str, items: object) -> None:
    message = orjson.loads(encode_retrain_event(EVENT)) | {name: items}
    with pytest.raises(ValueError, match="not a retrain event"):
        decode_retrain_event(orjson.dumps(message))


def test_the_corpus_of_the_coverage_guided_fuzzer_keeps_its_promises() -> None:
    inputs = corpus()
    assert len(inputs) > 500
    for item in inputs:
        check(item)
