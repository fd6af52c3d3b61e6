"""A batch is decoded as each of its records alone."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.messages.arrivals import BatchDecoder, Decoded, tick_of
from stream_app.messages.records import DeadLetter
from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.tick_mapping import TickMapping, decoder_for
from stream_app.messages.ticks import MAX_PRICE, MAX_TICK_BYTES, MIN_PRICE
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from tests.builders import START_MS, FakeRecord
from tests.fuzz import malformed, unusual

MAX_FUTURE_MS = 300_000.0
STRICT = TickMapping()
LOOSE = TickMapping(fields={"price": "price"}, key_required=False)


def decoded(records: Sequence[FakeRecord], mapping: TickMapping, *, batch: int) -> Decoded:
    decode = BatchDecoder(mapping, max_future_ms=MAX_FUTURE_MS)
    ticks: dict[str, list[object]] = {}
    letters: list[DeadLetter] = []
    for start in range(0, len(records), batch):
        found = decode(records[start : start + batch])
        for symbol, arrivals in found.ticks.items():
            ticks.setdefault(symbol, []).extend(arrivals)
        letters += found.dead_letters
    return Decoded(ticks, letters)  # type: ignore[arg-type]


def agrees(records: Sequence[FakeRecord], mapping: TickMapping, *, batch: int = 50) -> None:
    """The same ticks, of the same types, and the same refusals in the same words."""
    decode = decoder_for(mapping)
    alone = [
        (each, decode(each.value, each.key, each.timestamp, MAX_FUTURE_MS)) for each in records
    ]
    found = decoded(records, mapping, batch=batch)
    ticks = sorted(
        (offset, repr(tick_of(symbol, key)), appended_ms)
        for symbol, arrivals in found.ticks.items()
        for key, offset, appended_ms in arrivals
    )
    assert ticks == [
        (each.offset, repr(tick), each.timestamp) for each, tick in alone if isinstance(tick, Tick)
    ]
    assert [(letter.record, letter.rejection) for letter in found.dead_letters] == [
        (each, refused) for each, refused in alone if isinstance(refused, Rejection)
    ]


@pytest.mark.parametrize("mapping", [STRICT, LOOSE])
@pytest.mark.parametrize("seed", range(3))
def test_malformed_and_unusual_records_among_plain_ones(seed: int, mapping: TickMapping) -> None:
    """Each symbol's key is known: what is odd is odd in spite of it."""
    cases = [*malformed(seed, 2000), *unusual(seed, 1000)]
    records: list[tuple[bytes | None, bytes | None]] = []
    for case in cases:
        plain = {"symbol": case.symbol, "price": 1.5, "ts": START_MS}
        records.append((orjson.dumps(plain), case.symbol.encode()))
        records.append((case.value, case.key))
    agrees(
        [
            FakeRecord(offset=offset, value=value, key=key, timestamp=START_MS + 10**6)
            for offset, (value, key) in enumerate(records)
        ],
        mapping,
    )


numbers = st.one_of(
    st.sampled_from(
        [0, -0.0, 1, 1.5, True, None, "1.5", 1e-12, 9e-13, 1e15, 1.1e15, 2**63, 2**64 - 1, -1, "x"]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
times = st.one_of(
    st.sampled_from(
        [START_MS, float(START_MS), START_MS + 300_000, START_MS + 300_001, EARLIEST_TS]
    ),
    st.sampled_from([EARLIEST_TS - 1, LATEST_TS, LATEST_TS + 1, "0", None, True, 0.5]),
)
words: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([None, "", "a" * 64, "a" * 65, 7, 7.5, [], {}, True]), st.text(max_size=3)
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.sampled_from(["A", "B", "A ", "", None, 1, ["A"]]),
        "price": numbers,
        "ts": times,
        "size": numbers,
        "source": words,
        "id": words,
        "other": words,
    },
)
values = st.one_of(
    fields.map(orjson.dumps),
    st.sampled_from(
        [None, b"", b"{", b"[]", b"1", b'{"symbol":"A","price":NaN,"ts":1640995200000}']
    ),
    fields.map(lambda found: orjson.dumps(found) + b" " * MAX_TICK_BYTES),
    fields.map(lambda found: orjson.dumps(found)[:-1]),
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(values, st.sampled_from([b"A", b"B", None, b"\xff"])), max_size=12),
    st.integers(1, 5),
)
def test_any_records_at_all(
    given_records: list[tuple[bytes | None, bytes | None]], size: int
) -> None:
    plain = [
        (b'{"symbol":"%b","price":1.5,"ts":%d}' % (key, START_MS), key) for key in (b"A", b"B")
    ]
    records = [
        FakeRecord(offset=offset, value=value, key=key, timestamp=START_MS)
        for offset, (value, key) in enumerate([*plain, *given_records])
    ]
    for mapping in (STRICT, LOOSE):
        agrees(records, mapping, batch=size)


def test_the_bounds_are_those_of_one_record() -> None:
    made = [
        {"symbol": "A", "price": price, "ts": START_MS, "size": size}
        for price in (MIN_PRICE, MIN_PRICE / 2, MAX_PRICE, MAX_PRICE * 2)
        for size in (0.0, MAX_PRICE, MAX_PRICE * 2, -1e-9)
    ]
    agrees(
        [
            FakeRecord(offset=offset, value=orjson.dumps(each), key=b"A", timestamp=START_MS)
            for offset, each in enumerate([{"symbol": "A", "price": 1.5, "ts": START_MS}, *made])
        ],
        STRICT,
    )
