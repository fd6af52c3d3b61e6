"""Says once which symbols come in a partition that is not their key's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from stream_app.kafka.placement import partition_of
from stream_app.prediction.observation import MISPLACED
from stream_app.prediction.pipeline import Answer

logger = logging.getLogger(__name__)


class MisplacedLog:
    """One line for each symbol and partition."""

    def __init__(self, partitions: Callable[[], int]) -> None:
        """Have said nothing yet.

        Args:
            partitions: how many the ticks topic has now.
        """
        self._partitions = partitions
        self._told: set[tuple[str, int]] = set()

    def keep(self, symbols: Collection[str]) -> None:
        """Forget all other symbols: they went to other workers."""
        self._told = {key for key in self._told if key[0] in symbols}

    def note(self, answer: Answer, partition: int) -> None:
        """Look through a batch's answer."""
        given = answer.predictions
        misplaced = {
            key
            for key, reasons in zip(given.keys, given.degraded, strict=True)
            if MISPLACED in reasons
        }
        for symbol in sorted(key.decode() for key in misplaced):
            if (symbol, partition) not in self._told:
                self._told.add((symbol, partition))
                count = self._partitions()
                logger.warning(
                    "%s: its ticks come in partition %d, but its key belongs in partition %d of "
                    "%d by Kafka's default partitioner; here it has a window and models of its "
                    "own. Set partitioner=murmur2_random in clients on librdkafka; after "
                    "partitions were added, it passes when all clients have heard of them",
                    symbol,
                    partition,
                    partition_of(symbol.encode(), range(count)),
                    count,
                    extra={"symbol": symbol},
                )
