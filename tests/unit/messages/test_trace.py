"""Which trace headers are passed on."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.messages.trace import (
    MOST_STATE_BYTES,
    NO_HEADERS,
    TRACEPARENT,
    TRACESTATE,
    trace_headers,
    traces_of,
)
from tests.builders import FakeRecord

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_trace_is_passed_on_byte_for_byte_and_other_headers_are_not() -> None:
    given = [("replayed_from", b"x"), (TRACESTATE, b"a=1,b=2"), (TRACEPARENT, PARENT)]
    assert trace_headers(given) == [(TRACEPARENT, PARENT), (TRACESTATE, b"a=1,b=2")]


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        b"\xff\x00",
        PARENT[:-1],
        PARENT + b"-more",
        PARENT.upper(),
        b"ff" + PARENT[2:],
        PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        PARENT.replace(b"b7ad6b7169203331", b"0" * 16),
        b"x" * 1_000_000,
    ],
)
def test_what_is_no_trace_is_passed_over_with_its_state(parent: Any) -> None:
    assert trace_headers([(TRACEPARENT, parent), (TRACESTATE, b"a=1")]) == []
    assert trace_headers([(TRACEPARENT, parent)]) == []


def test_a_state_that_is_too_long_is_left_out() -> None:
    for size, kept in ((MOST_STATE_BYTES, 2), (MOST_STATE_BYTES + 1, 1)):
        given = [(TRACEPARENT, PARENT), (TRACESTATE, b"s" * size)]
        assert len(trace_headers(given)) == kept


def test_only_records_with_a_trace_are_found_by_their_offset() -> None:
    records = [
        FakeRecord(offset=7, value=b"", key=None),
        FakeRecord(offset=8, value=b"", key=None, headers=[(TRACEPARENT, PARENT)]),
        FakeRecord(offset=9, value=b"", key=None, headers=[("replayed_from", b"x")]),
    ]
    assert traces_of(records) == {8: [(TRACEPARENT, PARENT)]}
    assert NO_HEADERS == []
