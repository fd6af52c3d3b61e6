"""Batches of records, and which offset of each partition may be committed. No Kafka client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aiokafka.structs import ConsumerRecord
from faust.types import TP


class Batch:
    """Consecutive records of one partition, in the order of their offsets; made of at least one."""

    __slots__ = ("first_offset", "last_offset", "records", "tp")

    def __init__(self, tp: TP, records: tuple[ConsumerRecord, ...]) -> None:
        self.tp = tp
        self.records = records
        """Empty once they are answered: a batch waits a second for its commit, as an offset."""
        self.first_offset = int(records[0].offset)
        self.last_offset = int(records[-1].offset)

    @property
    def is_answered(self) -> bool:
        """Whether the batch may be committed."""
        return not self.records

    def answered(self) -> None:
        """Say that all that follows from the batch is acknowledged by the broker.

        Called by the agent; only then is the batch committed.
        """
        self.records = ()


class Ledger:
    """Which offset of each partition may be committed: pure bookkeeping, no Kafka."""

    def __init__(self) -> None:
        self._handed_out: dict[TP, deque[Batch]] = {}
        self._committable: dict[TP, int] = {}
        self._unfinished: set[Batch] = set()

    def hand_out(self, batch: Batch) -> None:
        """A batch goes to the agent."""
        self._handed_out.setdefault(batch.tp, deque()).append(batch)
        self._unfinished.add(batch)

    def take_back(self, batch: Batch) -> None:
        """The agent is through with a batch, answered or not."""
        self._unfinished.discard(batch)

    @property
    def is_busy(self) -> bool:
        """Whether there is a batch that the agent has not come to, or is at."""
        return bool(self._unfinished)

    def committable(self, tp: TP) -> int | None:
        """The offset after the last batch before which all are answered; None if there is none.

        The same answer again until more is answered, so a failed commit is repeated.
        """
        waiting = self._handed_out.get(tp, deque())
        while waiting and waiting[0].is_answered:
            self._committable[tp] = waiting.popleft().last_offset + 1
        return self._committable.get(tp)

    def partitions(self) -> list[TP]:
        """Partitions with something handed out or committable."""
        return list(self._handed_out)

    def forget(self, tps: Iterable[TP]) -> None:
        """The partitions are gone, or will be read again from their committed offset."""
        for tp in tps:
            self._unfinished.difference_update(self._handed_out.pop(tp, ()))
            self._committable.pop(tp, None)
