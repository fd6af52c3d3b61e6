"""In which partition the ticks of a symbol belong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from aiokafka.partitioner import DefaultPartitioner

_BY_KEY: Final = DefaultPartitioner()


def partition_of(key: bytes, partitions: Sequence[int]) -> int:
    """The partition of a key by Kafka's default partitioner: murmur2 over all partitions.

    librdkafka's clients hash otherwise unless they have `partitioner=murmur2_random`.

    >>> partition_of(b"BTC-USD", range(4)), partition_of(b"BTC-USD", range(1))
    (1, 0)
    """
    chosen: int = _BY_KEY(key, list(partitions), list(partitions))
    return chosen


def placement(count: int, *, key_required: bool) -> Callable[[str], tuple[int, ...]]:
    """From a symbol to the partitions in which its ticks belong, that of the symbol first.

    Args:
        count: of the topic's partitions.
        key_required: whether the key must be the symbol; else it may also be in quotes.
    """

    def partitions(symbol: str) -> tuple[int, ...]:
        keys = [symbol]
        if not key_required:
            keys += [json.dumps(symbol), json.dumps(symbol, ensure_ascii=False)]
        return tuple(partition_of(key.encode(), range(count)) for key in keys)

    return partitions
