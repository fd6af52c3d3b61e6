"""What a copy on this disk says of a partition and of each symbol, as bytes. No I/O."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final, Self

import msgspec
import numpy as np

from stream_app.bars.closed_bars import ClosedArrays
from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.read_bars import ReadForecasts
from stream_app.prediction.outcomes import ClosedForecasts
from stream_app.prediction.recalled import Recalled, RecalledRecord
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.log_state import LogState

FORMAT: Final = 1
"""Of the parts, and of what the arrays mean."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member of the file."""

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Decode one.

        Raises:
            ValueError: it is not of this form.
        """
        return msgspec.msgpack.decode(content, type=cls)

    def packed(self) -> bytes:
        """As bytes."""
        return msgspec.msgpack.encode(self)


class Head(_Part, frozen=True):
    """What a copy is of."""

    made_by: str
    """As `maker`: another one may keep something else."""
    topic_id: str
    """Of the ticks topic."""
    committed: int
    """Offset of the first tick that was not answered yet."""
    position: int
    """Bars that were read from this offset on are not in it."""
    seen_at: int
    """Where the last bar was read."""
    seen_digest: bytes
    """Of that bar."""
    symbols: int
    bars: int
    log: LogState


def maker(ticks: str, settings: PredictionSettings) -> str:
    """What the content of a copy depends on besides the bars.

    Args:
        ticks: the topic whose bars they are.
        settings: that made them.
    """
    return f"{FORMAT} {version('stream-app')} {ticks} {settings}"


class SymbolPart(_Part, frozen=True):
    """What was recalled of one symbol. Arrays are rows of the machine's own bytes."""

    symbol: str
    times: list[bytes]
    values: list[bytes]
    ticks: bytes
    scored_ts: bytes
    scored: list[bytes]
    waiting: list[tuple[int, float, ReadForecasts | None, bool]]
    errors: list[float]
    last_bar: bytes | None

    @classmethod
    def made(cls, symbol: str, recalled: Recalled) -> Self:
        """Of a symbol."""
        closed, record, last_bar = recalled
        waiting: list[Any] = list(record.waiting)
        return cls(
            symbol=symbol,
            times=[row.tobytes() for row in closed.times],
            values=[row.tobytes() for row in closed.values],
            ticks=closed.ticks.tobytes(),
            scored_ts=record.scored_ts.tobytes(),
            scored=[row.tobytes() for row in record.scored],
            waiting=waiting,
            errors=list(record.errors),
            last_bar=None if last_bar is None else encode_bar(last_bar),
        )

    def recalled(self) -> Recalled:
        """As it was.

        Raises:
            ValueError: it does not fit together.
        """
        return Recalled(
            ClosedArrays(
                times=np.array([np.frombuffer(row, np.int64) for row in self.times]),
                values=np.array([np.frombuffer(row, np.float64) for row in self.values]),
                ticks=np.frombuffer(self.ticks, np.int32),
            ),
            RecalledRecord(
                scored_ts=np.frombuffer(self.scored_ts, np.int64),
                scored=np.array([np.frombuffer(row, np.float32) for row in self.scored]),
                waiting=[ClosedForecasts(*each) for each in self.waiting],
                errors=self.errors,
            ),
            None if self.last_bar is None else decode_bar(self.last_bar),
        )
