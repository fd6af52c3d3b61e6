"""One partition's bars, read for the symbols that belong to another partition now."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka.reader import read_range
from stream_app.messages.schemas import Bar
from stream_app.moving.kept_bars import KeptBars
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.pauses import Pause
from stream_app.recovery.replica import MAY_REPEAT, PART, SLICE, Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Luggage:
    """What a symbol takes along."""

    bars: KeptBars
    last: Bar
    """The newest bar, with the newest state."""
    covered: int
    """The offset of the last tick that the state covers."""
    has_gap: bool
    """Whether bars of another length lie behind it."""


class MoveSource:
    """What bars say of the symbols that went. Read once, and then on from there.

    No window is filled before its symbol's first tick comes where it belongs now: most of the work
    would be for symbols that are silent.
    """

    def __init__(
        self,
        of: Log,
        *,
        is_wanted: Callable[[str], bool],
        bar_s: int,
        window_bars: int,
        first: int = 0,
    ) -> None:
        """Know nothing yet.

        Args:
            of: where the symbols were.
            is_wanted: whether a symbol went to where this is for.
            bar_s: length of the windows' bars; others are left out.
            window_bars: how many a window holds.
            first: the offset of the first bar to read.
        """
        self.of = of
        self._is_wanted = is_wanted
        self._wanted: dict[bytes, bool] = {}
        """By key."""
        self._window_bars = window_bars
        # All that is there counts, committed or not: the ticks after it are replayed.
        self._log = BarLog(of.topic, sys.maxsize, topic_id=of.topic_id, bar_s=bar_s)
        self._kept: dict[str, KeptBars] = {}
        self._position = first

    async def read_on(self, consumer: AIOKafkaConsumer, bars: str, go_on: Pause) -> None:
        """Read the bars that have come. Waits on the broker; other tasks run in between."""
        tp, count = TopicPartition(bars, self.of.partition), 0
        async for record in read_range(consumer, tp, self._position, None):
            if self._is_one(record.key):
                self._log.take(record)
            self._position = record.offset + 1
            count += 1
            if count % SLICE == 0:
                await go_on()
            if count % PART == 0:
                await self._keep(but=MAY_REPEAT)
        await self._keep()

    def _is_one(self, key: bytes | None) -> bool:
        key = key or b""
        known = self._wanted.get(key)
        if known is None:
            known = self._wanted[key] = self._is_wanted(key.decode(errors="replace"))
        return known

    async def _keep(self, *, but: int = 0) -> None:
        while self._log.begun_anew:
            self._kept.pop(self._log.begun_anew.pop(), None)
        for symbol, closed in self._log.take_closed(self._window_bars, but=but).items():
            self._kept.setdefault(symbol, KeptBars(self._window_bars)).add(closed)
            await asyncio.sleep(0)

    def luggage_of(self, symbol: str) -> Luggage | None:
        """What there is of a symbol; None where it was never here.

        Raises:
            ValueError: as `BarLog.last_of`.
        """
        last = self._log.last_of(symbol)
        if last is None:
            return None
        return Luggage(
            bars=self._kept.get(symbol) or KeptBars(self._window_bars),
            last=last,
            covered=last.source.offset,
            has_gap=symbol in self._log.with_gap(),
        )

    def forget(self, symbol: str) -> None:
        """It has gone: keep nothing more of it."""
        self._wanted[symbol.encode()] = False
        self._kept.pop(symbol, None)
        self._log.forget(symbol)
