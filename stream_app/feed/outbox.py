"""Batches of ticks on their way to a topic, by partition."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiokafka

from stream_app.kafka.placement import partition_of
from stream_app.messages.records import Headers
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import Encoder

_ACK_TIMEOUT_S: Final = 60.0
"""An idempotent producer itself retries without end."""


class Outbox:
    """Batches of encoded ticks by partition, keyed by symbol, until they are acknowledged.

    `producer.send` makes a future and looks up a partition for each tick, which costs several
    times what the tick itself does; a batch needs one future for hundreds. Partitions that are
    added meanwhile are used once the producer's client knows them, within its metadata's age.
    """

    def __init__(
        self,
        producer: aiokafka.AIOKafkaProducer,
        topic: str,
        partitions: list[int],
        encode: Encoder,
        headers: Headers,
    ) -> None:
        self.acknowledged = 0  # ticks that the broker has
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        producer.client.add_topic(topic)  # so that its metadata is kept fresh
        self._encode = encode
        self._headers = headers
        self._routes: dict[str, tuple[bytes, int]] = {}
        self._open: dict[int, Any] = {}
        self._unacknowledged: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the ticks so far, in order of appearance."""
        return tuple(self._routes)

    async def add(self, tick: Tick) -> bool:
        """Put a tick into its partition's batch; whether that sent a full one before it."""
        route = self._routes.get(tick.symbol)
        if route is None:
            key = tick.symbol.encode()
            route = self._routes[tick.symbol] = key, partition_of(key, self._partitions)
        key, partition = route
        value, headers = self._encode(tick), self._headers
        batch = self._open.get(partition)
        if batch is not None:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is not None:
                return False
            await self._send(partition)
        self._open[partition] = self._producer.create_batch()
        self._open[partition].append(key=key, value=value, timestamp=None, headers=headers)
        return batch is not None

    async def flush(self) -> None:
        """Send every open batch; waits where two of its partition are in flight."""
        for partition in tuple(self._open):
            await self._send(partition)

    async def close(self) -> None:
        """Send what is open and wait for every acknowledgement."""
        await self.flush()
        if self._unacknowledged:
            _, late = await asyncio.wait(self._unacknowledged, timeout=_ACK_TIMEOUT_S)
            if late:
                raise TimeoutError(f"no acknowledgement for {_ACK_TIMEOUT_S:g} s")
        self._check()

    async def _send(self, partition: int) -> None:
        self._check()
        batch = self._open.pop(partition)
        batch.close()  # else a later send could add to it
        count = batch.record_count()
        future = await self._producer.send_batch(batch, self._topic, partition=partition)
        self._follow_partitions()

        def done(acknowledged: asyncio.Future[Any]) -> None:
            self._unacknowledged.discard(acknowledged)
            failure = acknowledged.exception()
            if failure is None:
                self.acknowledged += count
            else:
                self._failure = self._failure or failure

        self._unacknowledged.add(future)
        future.add_done_callback(done)

    def _follow_partitions(self) -> None:
        """Send by the topic's new partition count, once the client knows it.

        Fewer partitions are what a broker knows that lags behind: symbols would go back and forth.
        """
        now = self._producer.client.cluster.partitions_for_topic(self._topic) or ()
        if len(now) > len(self._partitions):
            self._partitions = sorted(now)
            self._routes = {
                symbol: (key, partition_of(key, self._partitions))
                for symbol, (key, _) in self._routes.items()
            }

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
