"""What the bars topic says of a partition, for a restart at one offset. No I/O."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.read_bars import ReadBar, lean, read_bar
from stream_app.messages.schemas import Bar
from stream_app.prediction.origin import Origin
from stream_app.recovery.log_state import LogState
from stream_app.recovery.moved_bars import MovedBars, move_of

logger = logging.getLogger(__name__)


class _Item(NamedTuple):
    """A bar as it was read."""

    bar: ReadBar
    value: bytes
    """The whole message, with the state."""
    at: int
    """Where it was read."""


def _source_of(item: _Item | list[Bar]) -> int:
    """The offset of the newest tick that it was made from."""
    return (item.bar if isinstance(item, _Item) else item[-1]).source.offset


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
        self._unanswered: list[tuple[int, _Item | list[Bar]]] = []
        """Made from ticks that are not committed yet, in the order of the log, each with the
        offset that it was read at. A list is what a symbol brought along."""
        self._moved = MovedBars()
        self.begun_anew: set[str] = set()
        """Symbols of which all is replaced by what they brought along; who reads this clears it."""
        self._closed: dict[str, dict[int, ReadBar]] = {}
        """By symbol and opening time, bars that `take_closed` has not given yet."""
        self._given_ts: dict[str, int] = {}
        """By symbol, the opening time of the newest bar that it has given."""
        self._newest: dict[str, _Item] = {}
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
        self._taken: tuple[int, int] = sys.maxsize, 0
        """Of a state that was taken over, where the last bar in it was read, and its commit."""
        self.is_answered_again = False
        """Whether ticks before that commit were answered once more after it, as after a reset of
        the group: then other bars count than those of the state."""

    def take(self, record: ConsumerRecord) -> None:
        """Note a record."""
        value = record.value or b""
        try:
            bar = read_bar(value)
            moved = decode_bar(value) if bar.is_moved else None
            move = None if moved is None else move_of(moved)
        except (ValueError, KeyError, TypeError) as error:
            place = f"bars partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s", place, error)
            return
        if bar.source.topic != self._ticks or self._is_of_another_topic(bar):
            return
        self._named.add(bar.state.is_anew)
        self.counts.update(bar.state.counts)
        if moved is None or move is None:
            self._note_once_answered(record.offset, _Item(bar, value, record.offset))
        elif came := self._moved.take(moved, move, record.partition):
            self._note_once_answered(record.offset, came)

    def advance(self, committed: int) -> None:
        """The commit has moved on: note what was made before it.

        Args:
            committed: no less than before.
        """
        waiting, self._unanswered, self.committed = self._unanswered, [], committed
        for at, item in waiting:
            self._note_once_answered(at, item)

    def _note_once_answered(self, at: int, item: _Item | list[Bar]) -> None:
        offset = _source_of(item)
        last_at, committed = self._taken
        # States that are published where nothing is in hand name the last tick before the commit.
        self.is_answered_again |= at > last_at and offset < committed - 1
        if offset >= self.committed:
            self._unanswered.append((at, item))
        elif isinstance(item, _Item):
            self._note(item)
        else:
            self._begin_anew(item[-1].symbol)
            for bar in item:
                self._note(_Item(lean(bar), encode_bar(bar), at))

    def _begin_anew(self, symbol: str) -> None:
        self.begun_anew.add(symbol)
        self._closed.pop(symbol, None)
        self._given_ts.pop(symbol, None)
        self._newest.pop(symbol, None)
        self._covered.pop(symbol, None)
        self._left_out_at.pop(symbol, None)

    def arrived(self, symbol: str, before: int) -> list[Bar] | None:
        """What a symbol brought along just before a tick that is not committed yet, if it did.

        Args:
            symbol: whose.
            before: the tick's offset.
        """
        moved = (item for _, item in self._unanswered if isinstance(item, list))
        found = (
            bars
            for bars in moved
            if bars[-1].symbol == symbol and bars[-1].source.offset == before - 1
        )
        return next(found, None)

    def _note(self, item: _Item) -> None:
        bar = item.bar
        symbol, offset = bar.symbol, bar.source.offset
        if offset >= self.newest_offset:
            self.floor, self.newest_offset = bar.state.floor, offset
        if self._bar_s not in (None, bar.bar_s):
            newest_ts = self._left_out_ts.get(symbol, -1)
            self.left_out[bar.bar_s] += bar.ts_open > newest_ts
            self._left_out_ts[symbol] = max(newest_ts, bar.ts_open)
            self._left_out_at[symbol] = offset
            return
        self._covered[symbol] = max(offset, self._covered.get(symbol, -1))
        last = self._newest.get(symbol)
        if last is None or (bar.ts_open, offset) >= (last.bar.ts_open, last.bar.source.offset):
            self._newest[symbol] = item
        if bar.ts_open > self._given_ts.get(symbol, -1):
            self._closed.setdefault(symbol, {})[bar.ts_open] = bar

    def last_of(self, symbol: str) -> Bar | None:
        """The newest bar of a symbol, with the state of its last checkpoint; None without one.

        Raises:
            ValueError: a number of its state is not valid.
        """
        newest = self._newest.get(symbol)
        return None if newest is None else decode_bar(newest.value)

    def covered(self) -> dict[str, int]:
        """By symbol, the offset of the last tick that its newest bar's state covers."""
        return {symbol: item.bar.source.offset for symbol, item in self._newest.items()}

    def forget(self, symbol: str) -> None:
        """It has gone elsewhere: its newest bar is of no use any more."""
        self._newest.pop(symbol, None)

    def _is_of_another_topic(self, bar: ReadBar) -> bool:
        made_in = bar.state.topic_id
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

    def take_closed(self, last: int, *, but: int = 0) -> dict[str, list[ReadBar]]:
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

    def first_unanswered(self) -> int | None:
        """Where the first bar was read that was made from ticks not committed yet, if any."""
        return self._unanswered[0][0] if self._unanswered else None

    def commit_for(self, count: int) -> int:
        """From which commit on so many of the bars are answered that are not yet; 0 with fewer."""
        last = self._unanswered[count - 1 : count]
        return _source_of(last[0][1]) + 1 if last else 0

    def state(self) -> LogState | None:
        """All but the bars that are given and those not answered yet; None while symbols come.

        Called when every bar that was made before the commit is given.
        """
        if self._moved.are_coming or any(isinstance(item, list) for _, item in self._unanswered):
            return None
        return LogState(
            newest_offset=self.newest_offset,
            floor=self.floor,
            other_topic_id=self.other_topic_id,
            named=tuple(self._named),
            counts=tuple(self.counts),
            newest={symbol: (item.at, item.value) for symbol, item in self._newest.items()},
            given_ts=self._given_ts,
            covered=self._covered,
            came=self._moved.came,
            left_out=self.left_out,
            left_out_ts=self._left_out_ts,
            left_out_at=self._left_out_at,
        )

    def take_state(self, state: LogState, *, last_at: int, committed: int) -> None:
        """Take over a `state` of the same log. Nothing was noted yet.

        Args:
            state: what was known.
            last_at: where the last bar in it was read.
            committed: the commit then, not after the one now.

        Raises:
            ValueError, KeyError, TypeError: a bar is of no use.
        """
        newest = {name: _Item(read_bar(it), it, at) for name, (at, it) in state.newest.items()}
        self._taken = last_at, committed
        self.newest_offset, self.floor = state.newest_offset, state.floor
        self.other_topic_id = state.other_topic_id
        self._named.update(state.named)
        self.counts.update(state.counts)
        self._newest = newest
        self._given_ts.update(state.given_ts)
        self._covered.update(state.covered)
        self._moved.came.update(state.came)
        self.left_out.update(state.left_out)
        self._left_out_ts.update(state.left_out_ts)
        self._left_out_at.update(state.left_out_at)

    def with_gap(self) -> set[str]:
        """Symbols whose last bars are of another length: the window lacks the ticks in between."""
        return {
            symbol
            for symbol, offset in self._covered.items()
            if self._left_out_at.get(symbol, -1) > offset
        }
