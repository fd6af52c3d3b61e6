"""Follows alarms of drift: counts those of this worker's symbols, and asks for early trainings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, get_args

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.reader import read_through
from stream_app.kafka.topics import TopicSpec
from stream_app.messages.codec import decode_drift
from stream_app.messages.schemas import Drift, DriftDetector, DriftInput
from stream_app.ops.metrics import DRIFT_ALARMS
from stream_app.prediction.symbol import SymbolPipeline

logger = logging.getLogger(__name__)

# Each kind begins at 0, or the first alarm would be no increase.
for _kind in product(get_args(DriftInput), get_args(DriftDetector)):
    DRIFT_ALARMS.labels(*_kind)


class DriftAlarms:
    """Lives in the event loop; no method is thread-safe.

    Args:
        topic: the alarms.
        client_settings: how to connect.
        symbols: of this worker, by the names of their states.
        ask: lets a symbol be trained early; whether it will be. None where alarms train nothing.
        newest_s: an alarm that is older than this is passed over; event time.
    """

    def __init__(
        self,
        *,
        topic: TopicSpec,
        client_settings: dict[str, Any],
        symbols: Callable[[], Mapping[str, SymbolPipeline]],
        ask: Callable[[str], bool] | None,
        newest_s: float,
    ) -> None:
        self._tp = TopicPartition(topic.name, 0)
        self._client_settings = client_settings
        self._symbols = symbols
        self._ask = ask
        self._newest_ms = 1000 * newest_s

    async def run(self) -> None:
        """Follow the topic from its end on. Never ends by itself; waits through an outage.

        What was published before is passed over: this worker trains all its symbols soon anyway.
        """
        records = read_through(
            self._client_settings, self._tp, None, what="the drift topic", logger=logger
        )
        async with contextlib.aclosing(records):
            async for record in records:
                self.take(record)

    def take(self, record: ConsumerRecord) -> None:
        """Note a record of the topic."""
        try:
            alarm = decode_drift(record.value or b"")
        except ValueError as error:
            logger.warning("%s offset %d: %s; left out", record.topic, record.offset, error)
            return
        for name, pipeline in self._symbols().items():
            if pipeline.symbol != alarm.symbol or not self._is_new(alarm, pipeline):
                continue
            DRIFT_ALARMS.labels(alarm.input, alarm.detector).inc()
            if self._ask is not None and self._ask(name):
                logger.info("%s is trained early: %s have changed", name, alarm.input)

    def _is_new(self, alarm: Drift, pipeline: SymbolPipeline) -> bool:
        return alarm.ts >= pipeline.window.newest_ts - self._newest_ms
