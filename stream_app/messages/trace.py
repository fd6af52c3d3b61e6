"""The W3C trace context of a record: headers that are passed on, never made. Pure.

https://www.w3.org/TR/trace-context/ - a tick's `traceparent` goes to its prediction or its dead
letter as it came, and `tracestate` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from stream_app.messages.records import Headers, Record

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MOST_STATE_BYTES: Final = 512
"""As much as the recommendation has everyone pass on."""
NO_HEADERS: Final[Headers] = []
"""Of all messages without any; never changed."""
_is_parent: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch


def trace_headers(headers: Sequence[tuple[str, bytes]]) -> Headers:
    """The headers to pass on; none where there is no valid `traceparent`.

    >>> parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    >>> trace_headers([("traceparent", parent), ("other", b"x")]) == [("traceparent", parent)]
    True
    >>> trace_headers([("traceparent", b"none")])
    []
    """
    parent = state = None
    if len(headers) == 1:  # as most that have any
        name, parent = headers[0]
        return [*headers] if name == TRACEPARENT and parent and _is_parent(parent) else NO_HEADERS
    for name, value in headers:
        if name == TRACEPARENT:
            parent = value
        elif name == TRACESTATE:
            state = value
    if not parent or not _is_parent(parent):
        return NO_HEADERS
    if state and len(state) <= MOST_STATE_BYTES:
        return [(TRACEPARENT, parent), (TRACESTATE, state)]
    return [(TRACEPARENT, parent)]


def traces_of(records: Sequence[Record]) -> Mapping[int, Headers]:
    """By offset, the headers to pass on; records without any are not among them."""
    return {
        record.offset: found
        for record in records
        if record.headers and (found := trace_headers(record.headers))
    }
