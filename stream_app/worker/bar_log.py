"""What the bars topic says of a partition, for a restart at one offset. No I/O."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

from aiokafka.structs import ConsumerRecord

from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Bar
from stream_app.prediction.origin import Origin
from stream_app.worker.moved_bars import MovedBars, move_of

logger = logging.getLogger(__name__)


class BarLog:
    """The bars of each symbol that were made before one committed offset.

    A bar can be there more than once: a worker that was killed published it, and so did the one
    after it; and a checkpoint is a bar with a later state. The one with the latest state counts,
    as the floor is that of the latest. Bars of another length are left out, for a window has bars
    of one length.

    The commit may move on: bars that were made after it wait until then.

    A symbol that came from another partition brought its bars along (`moved_bars.py`): they take
    the place of all that was known of it.
    """

    def __init__(
        self, ticks: str, committed: int, *, topic_id: str, bar_s: int | None = None
    ) -> None:
        self._ticks = ticks
        self.committed = committed
        """The offset of the first tick that is not answered yet."""
        self._bar_s = bar_s
        self.topic_id = topic_id
        """Of the ticks topic."""
        self.newest_offset = -1
        """Of the tick that the newest bar was made from; -1 where there is no bar."""
        self.other_topic_id = ""
        """Of a topic that had the name before: its bars are left out."""
        self._named: set[bool] = set()
        """Whether the ids of predictions named the topic when its bars were made."""
        self.counts: set[int] = set()
        """How many partitions the ticks topic has had, as the bars say."""
        self._unanswered: list[Bar | list[Bar]] = []
        """Made from ticks that are not committed yet, in the order of the log. A list is what a
        symbol brought along."""
        self._moved = MovedBars()
        self.begun_anew: set[str] = set()
        """Symbols of which all is replaced by what they brought along; who reads this clears it."""
        self._closed: dict[str, dict[int, Bar]] = {}
        """By symbol and opening time, bars that `take_closed` has not given yet."""
        self._given_ts: dict[str, int] = {}
        """By symbol, the opening time of the newest bar that it has given."""
        self.last: dict[str, Bar] = {}
        """Of each symbol the newest bar, with the state of its last checkpoint."""
        self._covered: dict[str, int] = {}
        """By symbol, the offset of the last tick that a bar covers."""
        self.floor = 0
        """The offset below which every tick is covered by some bar's state."""
        self.left_out: Counter[int] = Counter()
        """By length in seconds, how many bars were of another length."""
        self._left_out_ts: dict[str, int] = {}
        """By symbol, the opening time of the newest one: those that repeat are counted once."""
        self._left_out_at: dict[str, int] = {}
        """By symbol, the offset of the last tick that a bar of another length covers."""

    def take(self, record: ConsumerRecord) -> None:
        """Note a record."""
        try:
            bar = decode_bar(record.value or b"")
            int(bar.state["floor"])
            counts = {int(count) for count in bar.state.get("counts", ())}
            move = move_of(bar)
        except (ValueError, KeyError, TypeError) as error:
            place = f"bars partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s", place, error)
            return
        if bar.source.topic != self._ticks or self._is_of_another_topic(bar):
            return
        self._named.add(bool(bar.state.get("is_anew")))
        self.counts |= counts
        if move is None:
            self._note_once_answered(bar)
        elif moved := self._moved.take(bar, move, record.partition):
            self._note_once_answered(moved)

    def advance(self, committed: int) -> None:
        """The commit has moved on: note what was made before it.

        Args:
            committed: no less than before.
        """
        waiting, self._unanswered, self.committed = self._unanswered, [], committed
        for item in waiting:
            self._note_once_answered(item)

    def _note_once_answered(self, item: Bar | list[Bar]) -> None:
        bars = item if isinstance(item, list) else [item]
        if bars[-1].source.offset >= self.committed:
            self._unanswered.append(item)
            return
        if bars is item:
            self._begin_anew(bars[-1].symbol)
        for bar in bars:
            self._note(bar)

    def _begin_anew(self, symbol: str) -> None:
        self.begun_anew.add(symbol)
        self._closed.pop(symbol, None)
        self._given_ts.pop(symbol, None)
        self.last.pop(symbol, None)
        self._covered.pop(symbol, None)
        self._left_out_at.pop(symbol, None)

    def arrived(self, symbol: str, before: int) -> list[Bar] | None:
        """What a symbol brought along just before a tick that is not committed yet, if it did.

        Args:
            symbol: whose.
            before: the tick's offset.
        """
        moved = (item for item in self._unanswered if isinstance(item, list))
        found = (
            bars
            for bars in moved
            if bars[-1].symbol == symbol and bars[-1].source.offset == before - 1
        )
        return next(found, None)

    def _note(self, bar: Bar) -> None:
        symbol, offset = bar.symbol, bar.source.offset
        if offset >= self.newest_offset:
            self.floor, self.newest_offset = int(bar.state["floor"]), offset
        if self._bar_s not in (None, bar.bar_s):
            newest_ts = self._left_out_ts.get(symbol, -1)
            self.left_out[bar.bar_s] += bar.ts_open > newest_ts
            self._left_out_ts[symbol] = max(newest_ts, bar.ts_open)
            self._left_out_at[symbol] = offset
            return
        self._covered[symbol] = max(offset, self._covered.get(symbol, -1))
        last = self.last.get(symbol)
        if last is None or (bar.ts_open, offset) >= (last.ts_open, last.source.offset):
            self.last[symbol] = bar
        if bar.ts_open > self._given_ts.get(symbol, -1):
            # A month of states would fill the memory, and only the newest one is used.
            self._closed.setdefault(symbol, {})[bar.ts_open] = replace(bar, state={})

    def _is_of_another_topic(self, bar: Bar) -> bool:
        made_in = str(bar.state.get("topic_id", ""))
        if "" in (made_in, self.topic_id) or made_in == self.topic_id:
            return False
        self.other_topic_id = made_in
        return True

    @property
    def origin(self) -> Origin:
        """The topic that the ticks come from.

        The ids of its predictions name it, unless a version that named none has begun with them.
        """
        is_named = bool(self.other_topic_id) or self._named != {False}
        return Origin(topic_id=self.topic_id, is_named=is_named)

    def take_closed(self, last: int, *, but: int = 0) -> dict[str, list[Bar]]:
        """The bars that were not given before, oldest first, without their states.

        Args:
            last: so many of each symbol at most; older ones are forgotten.
            but: how many of the newest of each symbol to keep back, for they may come once more.
        """
        given = {}
        for symbol, closed in self._closed.items():
            times = sorted(closed)
            times = times[: max(0, len(times) - but)]
            if times:
                given[symbol] = [closed[ts] for ts in times[-last:]]
                self._given_ts[symbol] = times[-1]
                for ts in times:
                    del closed[ts]
        return given

    def with_gap(self) -> set[str]:
        """Symbols whose last bars are of another length: the window lacks the ticks in between."""
        return {
            symbol
            for symbol, offset in self._covered.items()
            if self._left_out_at.get(symbol, -1) > offset
        }
