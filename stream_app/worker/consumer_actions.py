"""What the worker asks of the consumer that brings the ticks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from stream_app.worker.ledger import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerActions:
    """Each belongs to one consumer. A number is a partition's."""

    read_again: Callable[[int], None]
    """Has a partition's ticks given again from the commit on."""
    hold: Callable[[Batch], None]
    """Gives a batch back, and has its partition read no further."""
    release: Callable[[int], None]
    """Has a partition read on that was held."""
    commit: Callable[[int, int], Awaitable[None]]
    """Notes an offset of a partition as answered."""
    join_again: Callable[[], Coroutine[Any, Any, None]]
    """Has the group divide the partitions again."""
