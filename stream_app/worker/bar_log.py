"""What the bars topic says of a partition, for a restart at one offset. No I/O."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

from aiokafka.structs import ConsumerRecord

from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Bar
from stream_app.prediction.origin import Origin

logger = logging.getLogger(__name__)


class BarLog:
    """The last bars of each symbol that were made before one committed offset.

    A bar can be there more than once: a worker that was killed published it, and so did the one
    after it; and a checkpoint is a bar with a later state. The last one counts. Bars of another
    length are left out, for a window has bars of one length.
    """

    def __init__(
        self, ticks: str, committed: int, *, topic_id: str, bar_s: int | None = None
    ) -> None:
        self._ticks = ticks
        self._committed = committed
        self._bar_s = bar_s
        self._topic_id = topic_id
        self.newest_offset = -1
        """Of the tick that the newest bar was made from; -1 where there is no bar."""
        self.other_topic_id = ""
        """Of a topic that had the name before: its bars are left out."""
        self._named: set[bool] = set()
        """Whether the ids of predictions named the topic when its bars were made."""
        self._bars: dict[str, dict[int, Bar]] = {}
        self._newest_ts: dict[str, int] = {}
        """By symbol, the opening time of the bar whose state is kept."""
        self.floor = 0
        """The offset below which every tick is covered by some bar's state."""
        self.left_out: Counter[int] = Counter()
        """By length in seconds, how many bars were of another length."""
        self._left_out_at: dict[str, int] = {}
        """By symbol, the offset of the last tick that a bar of another length covers."""

    def take(self, record: ConsumerRecord) -> None:
        """Note a record, unless it was made from ticks that are not answered yet."""
        try:
            bar = decode_bar(record.value or b"")
            floor = int(bar.state["floor"])
        except (ValueError, KeyError, TypeError) as error:
            place = f"bars partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s", place, error)
            return
        source = bar.source
        if source.topic != self._ticks or self._is_of_another_topic(bar):
            return
        self._named.add(bool(bar.state.get("is_anew")))
        if source.offset >= self._committed:
            return
        if source.offset >= self.newest_offset:
            self.floor, self.newest_offset = floor, source.offset
        if self._bar_s not in (None, bar.bar_s):
            self.left_out[bar.bar_s] += 1
            self._left_out_at[bar.symbol] = source.offset
            return
        bars = self._bars.setdefault(bar.symbol, {})
        newest_ts = self._newest_ts.get(bar.symbol, bar.ts_open)
        # Only the newest bar's state is used, and a month of states would fill the memory.
        if bar.ts_open >= newest_ts:
            if newest_ts in bars:
                bars[newest_ts] = replace(bars[newest_ts], state={})
            self._newest_ts[bar.symbol] = bar.ts_open
        else:
            bar = replace(bar, state={})
        bars[bar.ts_open] = bar

    def _is_of_another_topic(self, bar: Bar) -> bool:
        made_in = str(bar.state.get("topic_id", ""))
        if "" in (made_in, self._topic_id) or made_in == self._topic_id:
            return False
        self.other_topic_id = made_in
        return True

    @property
    def origin(self) -> Origin:
        """The topic that the ticks come from.

        The ids of its predictions name it, unless a version that named none has begun with them.
        """
        is_named = bool(self.other_topic_id) or self._named != {False}
        return Origin(topic_id=self._topic_id, is_named=is_named)

    def bars(self, last: int) -> dict[str, list[Bar]]:
        """The last bars of each symbol, oldest first."""
        return {
            symbol: [bar for _, bar in sorted(kept.items())[-last:]]
            for symbol, kept in self._bars.items()
        }

    def with_gap(self) -> set[str]:
        """Symbols whose last bars are of another length: the window lacks the ticks in between."""
        return {
            symbol
            for symbol, kept in self._bars.items()
            if self._left_out_at.get(symbol, -1) > max(bar.source.offset for bar in kept.values())
        }
