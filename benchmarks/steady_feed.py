"""Ticks at a steady rate, on topics that may grow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from prices import live_ticks

from stream_app.kafka.connection import client_settings
from stream_app.messages.ticks import encode_tick
from stream_app.settings import Settings

PIECE_S: Final = 0.05
"""Of a steady feed."""


class Feed:
    """Ticks at a steady rate, until told to stop.

    `feed.producer.produce` knows the partitions that there are at its start, and sends each tick
    that it has waited for by itself; this one hears of more, and takes less of the processor.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        symbols: Sequence[str],
        per_second: float,
        start: int,
        **producer: Any,
    ) -> None:
        self._producer = {**client_settings(settings), "acks": 1, **producer}
        self._topic = topic
        self._symbols = symbols
        self._per_second = per_second
        self._start = start
        self._stop = asyncio.Event()
        self.sent = 0

    def stop(self) -> None:
        self._stop.set()

    async def run(self, most_s: float) -> None:
        ticks = live_ticks(
            self._symbols,
            start_ms=self._start,
            interval_ms=1000.0 * len(self._symbols) / self._per_second,
            count=int(most_s * self._per_second),
        )
        producer = AIOKafkaProducer(**self._producer)
        await producer.start()
        try:
            began = time.perf_counter()
            while not self._stop.is_set() and self.sent < len(ticks):
                due = int((time.perf_counter() - began) * self._per_second)
                futures = [
                    await producer.send(self._topic, encode_tick(tick), tick.symbol.encode())
                    for tick in ticks[self.sent : due]
                ]
                self.sent = max(self.sent, due)
                if futures:
                    await asyncio.gather(*futures)
                await asyncio.sleep(PIECE_S)
        finally:
            await producer.stop()
