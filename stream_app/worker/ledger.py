"""Batches of records, and for each partition what is read, handed out and answered. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aiokafka.structs import ConsumerRecord
from faust.types import TP


class Batch:
    """Consecutive records of one partition, in the order of their offsets; at least one."""

    __slots__ = (
        "first_offset",
        "is_answered",
        "is_void",
        "last_offset",
        "read_from",
        "records",
        "tp",
    )

    def __init__(self, tp: TP, records: tuple[ConsumerRecord, ...], *, read_from: int) -> None:
        self.tp = tp
        self.records = records
        self.first_offset = int(records[0].offset)
        self.last_offset = int(records[-1].offset)
        self.read_from = min(read_from, self.first_offset)
        """The log was read from this offset on: below `first_offset` it holds no record."""
        self.is_answered = False
        """Whether the broker has acknowledged all that follows from the batch; set by whoever
        has seen that."""
        self.is_void = False
        """Whether the batch is no longer to be answered: its records are read again."""


class _Books:
    """Of one partition: what was handed out, and from where the next batch is read."""

    __slots__ = ("committable", "handed_out", "is_placed", "next_offset")

    def __init__(self, offset: int) -> None:
        self.next_offset = offset
        self.is_placed = True
        self.committable: int | None = None
        self.handed_out: deque[Batch] = deque()


class Ledger:
    """Where each partition is read from, and which offset of it may be committed.

    Nothing is handed out of a partition whose place in the log is not known. Whatever drops
    fetched records loses the position, and the consumer must seek before it continues.
    """

    def __init__(self) -> None:
        self._books: dict[TP, _Books] = {}
        self._unfinished: set[Batch] = set()

    def place(self, tp: TP, offset: int, *, is_kept: bool = False) -> None:
        """The consumer reads the partition from this offset on.

        Args:
            tp: the partition.
            offset: of the next record.
            is_kept: whether all before it is answered and may not be committed yet.
        """
        books = self._books.get(tp)
        if books is not None and books.next_offset == offset:
            books.is_placed = True
        else:
            self.forget([tp])
            books = self._books[tp] = _Books(offset)
            books.committable = offset if is_kept else None

    def is_placed(self, tp: TP) -> bool:
        """Whether it is known from where the partition is read."""
        books = self._books.get(tp)
        return books is not None and books.is_placed

    def next_offset(self, tp: TP) -> int | None:
        """From where the next batch must be read; None is from the first unanswered record."""
        books = self._books.get(tp)
        return None if books is None else books.next_offset

    def lose_place(self, tp: TP) -> None:
        """Records that follow what was handed out were fetched and dropped."""
        books = self._books.get(tp)
        if books is not None:
            books.is_placed = False

    def forget(self, tps: Iterable[TP]) -> None:
        """The partitions are gone, or must be read again from the first unanswered record."""
        for tp in tps:
            books = self._books.pop(tp, None)
            if books is not None:
                self._unfinished.difference_update(books.handed_out)
                for batch in books.handed_out:
                    batch.is_void = True

    def give_back(self, batch: Batch) -> None:
        """A batch, and all that follows in its partition, is read again from there on."""
        books = self._books.get(batch.tp)
        if books is None or batch.is_void or batch not in books.handed_out:
            return
        last = None
        while last is not batch:
            last = books.handed_out.pop()
            last.is_void = True
            self._unfinished.discard(last)
        books.next_offset, books.is_placed = batch.read_from, False

    def hand_out(self, tp: TP, records: tuple[ConsumerRecord, ...]) -> Batch:
        """Make a batch for the agent.

        Args:
            tp: a partition that is placed.
            records: those that follow in its log, at least one.
        """
        books = self._books[tp]
        batch = Batch(tp, records, read_from=books.next_offset)
        books.next_offset = batch.last_offset + 1
        books.handed_out.append(batch)
        self._unfinished.add(batch)
        return batch

    def done(self, batch: Batch) -> None:
        """The agent has finished with a batch, answered or not."""
        self._unfinished.discard(batch)
        if batch.is_answered:
            batch.records = ()  # a batch waits a second for its commit, as an offset

    @property
    def is_busy(self) -> bool:
        """Whether there is a batch that the agent has not finished with."""
        return bool(self._unfinished)

    def committable(self, tp: TP) -> int | None:
        """The offset after the last batch before which all are answered; None if there is none.

        The same answer again until more is answered, so a failed commit is repeated.
        """
        books = self._books.get(tp)
        if books is None:
            return None
        while books.handed_out and books.handed_out[0].is_answered:
            books.committable = books.handed_out.popleft().last_offset + 1
        return books.committable

    def partitions(self) -> list[TP]:
        """Partitions of which something was or may be handed out."""
        return list(self._books)
