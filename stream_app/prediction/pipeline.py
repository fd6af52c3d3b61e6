"""The state machine of one partition: records in, predictions, bars and dead letters out.

Pure: it knows no Kafka beyond the shape of a record, and no clock: what it says follows from
the records alone. An agent drives it from a topic, a test or a backtest from a list.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream_app.messages.arrivals import Arrival, BatchDecoder
from stream_app.messages.records import DeadLetter, Record
from stream_app.messages.schemas import Bar, Score, Source
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.notice import Notice
from stream_app.prediction.origin import Origin
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.prediction.writing import Predictions

CHECKPOINT_AFTER: Final = 20_000
"""Offsets of a partition after which a symbol's state is published though no bar of it closed; a
restart reads so many ticks in about half a second."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """All that a batch of records gave. Every record is in one of the first two lists."""

    predictions: Predictions = field(default_factory=Predictions)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    late: int = 0
    duplicates: int = 0
    ahead: int = 0
    """Ticks ahead that later ticks have contradicted; their predictions were given before."""
    jumps: int = 0
    """Ticks whose price jumped."""
    notices: list[Notice] = field(default_factory=list)


class SortedRecords(NamedTuple):
    """Consecutive records of a partition, sorted out."""

    records: Sequence[Record]
    ticks: dict[str, list[Arrival]]
    """By symbol, in the order of their offsets."""
    dead_letters: list[DeadLetter]


class PartitionPipeline:
    """All symbols of one partition of the ticks topic."""

    def __init__(
        self,
        settings: PredictionSettings,
        *,
        partition: int = 0,
        placement: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        """Make an empty one.

        Args:
            settings: of all symbols.
            partition: its number.
            placement: from a symbol to the partitions in which its ticks belong, that of the
                symbol first; without it they belong here.
        """
        self._settings = settings
        self._partition = partition
        self._placement = placement
        self._decode = BatchDecoder(settings.tick_mapping, max_future_ms=settings.max_future_ms)
        self._ensemble = Ensemble.of(settings)
        self.symbols: dict[str, SymbolPipeline] = {}
        self.position = 0
        """The offset after the last one processed; a restore sets where it begins."""
        self.origin = Origin()
        """A restore sets it before the first symbol."""
        self._uncovered: list[tuple[int, str]] = []
        """A heap of the offsets from which on symbols have no published state, with the symbol;
        of some it no longer holds. No batch may cost more because many symbols are silent."""

    def pipeline_of(self, name: str) -> SymbolPipeline:
        """The symbol's pipeline, made when it is first asked for."""
        pipeline = self.symbols.get(name)
        if pipeline is None:
            pipeline = self.symbols[name] = self.new_symbol(name)
        return pipeline

    def new_symbol(self, name: str) -> SymbolPipeline:
        """An empty one of this partition, not among its symbols yet."""
        elsewhere, is_misplaced = self._place_of(name)
        return SymbolPipeline(
            name,
            self._settings,
            elsewhere=elsewhere,
            is_misplaced=is_misplaced,
            origin=self.origin,
        )

    def is_home(self, name: str) -> bool:
        """Whether this partition is that of a symbol as a key."""
        return self._place_of(name)[0] is None

    def _place_of(self, name: str) -> tuple[int | None, bool]:
        """This partition where it is not that of the symbol as a key, and whether that is wrong."""
        here = self._partition
        home, *others = self._placement(name) if self._placement else (here,)
        return None if home == here else here, here not in (home, *others)

    def place(self, placement: Callable[[str], Sequence[int]], origin: Origin) -> None:
        """Partitions were added: symbols may belong to others now.

        Args:
            placement: as in `__init__`.
            origin: with the new count.
        """
        self._placement, self.origin = placement, origin
        for name, pipeline in self.symbols.items():
            elsewhere, is_misplaced = self._place_of(name)
            pipeline.place(elsewhere, is_misplaced=is_misplaced, origin=origin)

    def sort(self, records: Sequence[Record]) -> SortedRecords:
        """Separate ticks from dead letters. Changes nothing."""
        ticks, dead_letters = self._decode(records)
        return SortedRecords(records=records, ticks=ticks, dead_letters=dead_letters)

    def unsettled(self, batch: SortedRecords) -> list[str]:
        """Symbols of a batch whose history may be in another partition.

        They are new here, or have been since before partitions were added, or belonged here then.
        """
        count, symbols = self.origin.partitions, self.symbols
        return [
            name
            for name in batch.ticks
            if (known := symbols.get(name)) is None or not known.residence.is_known_with(count)
        ]

    def process(self, records: Sequence[Record], *, adopt: bool = True) -> Answer:
        """Answer records of this partition, in the order of their offsets.

        Predictions and dead letters keep the order of the offsets. Does not block beyond its
        own arithmetic (about 0.1 ms a tick).

        Args:
            records: consecutive ones.
            adopt: whether new champions take over; see `answer_ticks`.
        """
        return self.answer(self.sort(records), adopt=adopt)

    def answer(self, batch: SortedRecords, *, adopt: bool = True) -> Answer:
        """As `process`, of records that are sorted. Called by the service for the ticks agent."""
        records, batches, dead_letters = batch
        # As it was before the batch: right for a restart at any offset from here on, however
        # the records are cut into batches then.
        floor = self.floor()
        asked = [(self.pipeline_of(name), ticks) for name, ticks in batches.items()]
        place = (records[0].topic, records[0].partition) if records else ("", 0)
        answered = answer_ticks(
            asked, self._ensemble, self._settings, place=place, floor=floor, adopt=adopt
        )
        answer = Answer(predictions=answered.predictions, dead_letters=dead_letters)
        for given in answered.symbols:
            answer.bars.extend(given.bars)
            answer.scores.extend(given.scores)
            answer.late += given.late
            answer.duplicates += given.duplicates
            answer.ahead += given.ahead
            answer.jumps += given.jumps
            answer.notices.extend(given.notices)
        for pipeline, _ in asked:
            uncovered = pipeline.first_uncovered
            if uncovered is not None and uncovered >= records[0].offset:
                heapq.heappush(self._uncovered, (uncovered, pipeline.symbol))
        if len(batches) > 1:
            answer.bars.sort(key=lambda bar: bar.source.offset)
            answer.scores.sort(key=lambda score: score.source.offset)
        if records:
            self.position = records[-1].offset + 1
            answer.bars.extend(self._checkpoints(records[-1], floor))
        return answer

    def _checkpoints(self, last: Record, floor: int) -> Iterator[Bar]:
        """New states of symbols that have long closed no bar: a restart begins at the floor."""
        while oldest := self._oldest_uncovered():
            uncovered, pipeline = oldest
            if self.position - uncovered <= CHECKPOINT_AFTER:
                break
            source = Source(topic=last.topic, partition=last.partition, offset=last.offset)
            yield from pipeline.checkpoint(source, floor)

    def handover(self, topic: str) -> tuple[list[Bar], list[Bar]]:
        """The symbols' current states, so that the next owner has no ticks to replay.

        Changes nothing: `note_handed_over` follows once the broker has acknowledged them. Called
        by the service when all ticks are answered and the partition may go to another worker.

        Args:
            topic: that the ticks come from.

        Returns:
            Two parts. The second moves the floor up to here, so it may be published only once
            the broker has acknowledged the first.
        """
        if not self.position:
            return [], []  # of symbols that have come, and no tick of theirs is answered
        source = Source(topic=topic, partition=self._partition, offset=self.position - 1)
        floor, symbols = self.floor(), self.symbols.values()
        uncovered = [item for item in symbols if item.first_uncovered is not None]
        states = [bar for item in uncovered for bar in item.state_bar(source, floor)]
        moves = (bars for item in symbols if (bars := item.state_bar(source, self.position)))
        return states, next(moves, [])

    def note_handed_over(self, position: int) -> None:
        """All states up to a position are on the topic, as `handover` gave them there.

        Where ticks were answered meanwhile, the floor stays as it was: no state covers those.
        """
        if self.position != position:
            return
        for item in self.symbols.values():
            item.first_uncovered = None

    def floor(self) -> int:
        """The offset below which every tick is covered by some symbol's published state."""
        oldest = self._oldest_uncovered()
        return self.position if oldest is None else oldest[0]

    def _oldest_uncovered(self) -> tuple[int, SymbolPipeline] | None:
        while self._uncovered:
            offset, name = self._uncovered[0]
            pipeline = self.symbols[name]
            if pipeline.first_uncovered == offset:
                return offset, pipeline
            heapq.heappop(self._uncovered)
        return None

    def start_anew(self, name: str) -> None:
        """Drop the state of a symbol; its predictions show this."""
        del self.symbols[name]
        self.pipeline_of(name).lose_history()

    def lose_history(self) -> None:
        """Ticks that no state covers are gone: the symbols say so in their answers."""
        for pipeline in self.symbols.values():
            pipeline.lose_history()

    def replay(
        self, records: Sequence[Record], covered: Mapping[str, int], *, others: int = -1
    ) -> Answer:
        """Replay answered records for their effect on the state only.

        Args:
            records: of this partition, in the order of their offsets.
            covered: by symbol, the offset up to which its restored state covers the ticks.
            others: the same of all other symbols.

        Returns:
            What was answered then.
        """
        ticks, _ = self._decode(records)  # the key need not be the symbol
        wanted = {
            offset
            for symbol, arrivals in ticks.items()
            for _, offset, _ in arrivals
            if offset > covered.get(symbol, others)
        }
        kept = [record for record in records if record.offset in wanted]
        return self.process(kept, adopt=False)
