"""Ticks that a worker will refuse, because they lie after the clock when they are sent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.pace import Speed
from stream_app.feed.understood import utc_text


def beyond_the_clock(
    source: str,
    ts: NDArray[np.int64],
    nth: NDArray[np.int64],
    *,
    speed: Speed,
    now_ms: int,
    max_future_seconds: float,
) -> str | None:
    """A warning where some ticks lie too far in the future at the time that they are sent.

    >>> import numpy as np
    >>> day = np.array([0, 86_400_000])
    >>> beyond_the_clock(
    ...     "a.csv", day, np.arange(2), speed=Speed(), now_ms=0, max_future_seconds=300
    ... ).partition(":")[0]
    'a.csv'
    >>> beyond_the_clock(
    ...     "a.csv", day, np.arange(2), speed=Speed(factor=1.0), now_ms=0, max_future_seconds=300
    ... )

    Args:
        source: what the ticks come from, for the message.
        ts: their event times, epoch ms, in order, of shape (ticks,).
        nth: which tick of the feed each is, from 0, of shape (ticks,).
        speed: how fast they are sent.
        now_ms: the clock, epoch ms.
        max_future_seconds: how far after the clock a worker takes a tick.

    Raises:
        SourceError: all of them do, so that nothing would be answered.
    """
    if not len(ts):
        return None
    sent = np.full(len(ts), float(now_ms))
    if speed.factor is not None:
        sent += (ts - ts[0]) / speed.factor
    elif speed.per_second is not None:
        sent += nth * (1000 / speed.per_second)
    late = ts > sent + 1000 * max_future_seconds
    if not late.any():
        return None
    which = (
        "all its ticks lie"
        if late.all()
        else f"from {utc_text(int(ts[late.argmax()]))} on, ticks lie"
    )
    told = (
        f"{source}: {which} more than MAX_FUTURE_SECONDS={max_future_seconds:g} after the clock "
        "when they are sent, where a worker refuses them (future_time)"
    )
    remedy = (
        "check the times, --time-format and --time-zone, send them slower with --speed, or set "
        "MAX_FUTURE_SECONDS as the worker has it"
    )
    if late.all():
        raise SourceError(
            f"{told}: they end at {utc_text(int(ts[-1]))}; looked for times until now; {remedy}"
        )
    return f"{told}; {remedy}"
