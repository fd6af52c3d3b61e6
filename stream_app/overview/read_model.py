"""The read model: records in, what the dashboard and `top` show out. Pure; time is injected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from stream_app.clock import DAY_MS, Clock
from stream_app.dead_letters.letter import read_letter
from stream_app.kafka.group import GroupMember
from stream_app.kafka.place import Place
from stream_app.messages.codec import decode_champion, decode_retrain_event
from stream_app.messages.records import Record
from stream_app.messages.symbols import is_symbol
from stream_app.overview.bound import MOST_SYMBOLS
from stream_app.overview.group_standing import GroupStanding
from stream_app.overview.inputs import cut, read_alarm, read_answer, read_bar, read_scored
from stream_app.overview.letter_box import LetterBox
from stream_app.overview.retrain_log import RetrainLog
from stream_app.overview.symbol_record import SymbolRecord
from stream_app.overview.version_log import VersionLog

NEWEST_ANSWERS: Final = 2000
"""Predictions of each partition with which the reading begins."""
SILENT_MS: Final = DAY_MS
"""A symbol that nothing was heard of for so long, while others were, is silent."""
KEPT_RATES: Final = 30
Broker = Literal["connecting", "answers", "away"]


@dataclass(slots=True, kw_only=True)
class Reading:
    """How the reading of the topics stands."""

    broker: Broker = "connecting"
    error: str = ""
    """Why the broker is away, one line."""
    topic_problems: tuple[str, ...] = ()
    """Topics that are missing or differ from topics.yaml, a line each."""
    missing: frozenset[str] = frozenset()
    """Roles of the topics that are missing."""
    newest_read: bool = False
    """Whether the newest records that were there at the start have been read."""
    history_read: bool = False
    """Whether the bars and scores from before the start have been read too."""
    unreadable: str = ""
    """Why the topics cannot be read, one line."""
    refused: int = 0
    """Records that are no message of their topic."""
    refused_last: str = ""
    """Where the newest of them is and what is wrong with it."""


@dataclass(slots=True)
class _Rates:
    """Answers a second, by the clock."""

    seconds: deque[list[int]] = field(default_factory=lambda: deque(maxlen=KEPT_RATES))

    def note(self, second: int, count: int) -> None:
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append([second, 0])
        self.seconds[-1][1] += count

    def per_second(self, second: int, within: int = 10) -> float:
        """Over the last whole seconds."""
        return sum(count for at, count in self.seconds if second - within <= at < second) / within


class ReadModel:
    """The known state of all workers.

    Args:
        clock: for ages and floods.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reading = Reading()
        self.begun = 0
        """Grows with each time that it begins again."""
        self.forget()

    def forget(self) -> None:
        """Begin again: the topics are others than those that were read until now."""
        self.begun += 1
        self.symbols: dict[str, SymbolRecord] = {}
        self.left_out = 0
        """Messages of symbols beyond `MOST_SYMBOLS`."""
        self.retrains = RetrainLog()
        self.versions = VersionLog()
        self.letters = LetterBox(self._clock.monotonic)
        self.group = GroupStanding()
        self.alarms_taken = 0
        """Grows with each alarm of drift, the same one again too."""
        self.answered_ms = 0
        """When the newest answer of all symbols was written, wall clock, epoch milliseconds."""
        self.heard_ms = 0
        """When anything was last heard of any symbol, as `SymbolRecord.heard_ms`."""
        self.reading.newest_read = self.reading.history_read = False
        self._rates = _Rates()

    @property
    def now_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
        return int(self._clock.now().timestamp() * 1000)

    @property
    def answers_per_second(self) -> float:
        """Lately."""
        return self._rates.per_second(int(self._clock.monotonic()))

    def has(self, role: str) -> bool:
        """Whether there is a topic with this role."""
        return role not in self.reading.missing

    def is_silent(self, record: SymbolRecord) -> bool:
        """Whether a symbol had no tick for long, while others had."""
        return self.heard_ms - record.heard_ms > SILENT_MS

    def take(self, role: str, record: Record, *, is_new: bool = True) -> None:
        """Note a record of the topic with this role.

        Args:
            role: as in topics.yaml.
            record: as it was read. One that is no message of its topic is counted, never raised.
            is_new: whether it was written after the start.
        """
        try:
            if role == "bars":
                bar = read_bar(record.value)
                if found := self._symbol(bar.symbol):
                    found.bars.take(bar)
            elif role == "retrain_events":
                event = decode_retrain_event(record.value or b"")
                if self.retrains.take(event):
                    self.versions.take_event(event)
                    self._know(event.symbols)
            elif role == "dead_letters":
                self.letters.take(read_letter(record), is_new=is_new)
            elif role == "scores":
                scored = read_scored(record.value)
                if found := self._symbol(scored.symbol):
                    found.take_score(scored)
                    self._hear(found, record.timestamp)
            elif role == "drift":
                alarm = read_alarm(record.value)
                if found := self._symbol(alarm.symbol):
                    found.alarms.take(alarm)
                    self.alarms_taken += 1
            elif role == "champions" and record.value is not None:
                champion = decode_champion(record.value)
                self.versions.take_champion(champion)
                self._know((champion.symbol,))
        except ValueError as error:
            self._refuse(record, error)

    def take_answers(self, newest: Sequence[Record], count: int, *, is_new: bool = True) -> None:
        """Note predictions.

        Args:
            newest: of each symbol the newest record of a batch.
            count: records of the batch, also those that are not among the newest, but none that
                was written before the start.
            is_new: whether any was written after the start.
        """
        for record in newest:
            try:
                answer = read_answer(record.value)
            except ValueError as error:
                self._refuse(record, error)
                continue
            self.answered_ms = max(self.answered_ms, record.timestamp)
            if found := self._symbol(answer.symbol):
                found.take_answer(answer, record.timestamp)
                self._hear(found, record.timestamp)
        if is_new:
            self._rates.note(int(self._clock.monotonic()), count)
            self.letters.note_answers(count)

    def take_group(
        self, places: Mapping[int, Place], members: Sequence[GroupMember] | None
    ) -> None:
        """Note where the group stands; the broker has answered."""
        self.group.take(places, members, at_ms=self.now_ms)
        self.note_answer()

    def note_answer(self) -> None:
        """Note that the broker answers."""
        self.reading.broker, self.reading.error = "answers", ""

    def note_away(self, error: str) -> None:
        """Note that the broker does not answer."""
        self.reading.broker, self.reading.error = "away", cut(error)

    def _know(self, names: Iterable[str]) -> None:
        """Note symbols that have models, also where they are silent.

        A name may be that of the state in one partition, as in "A (partition 3)": no symbol.
        """
        for name in names:
            if is_symbol(name):
                self._symbol(name)

    def _hear(self, record: SymbolRecord, written_ms: int) -> None:
        record.heard_ms = max(record.heard_ms, written_ms)
        self.heard_ms = max(self.heard_ms, written_ms)

    def _symbol(self, name: str) -> SymbolRecord | None:
        found = self.symbols.get(name)
        if found is None:
            if len(self.symbols) >= MOST_SYMBOLS:
                self.left_out += 1
                return None
            found = self.symbols[name] = SymbolRecord(name=name)
        return found

    def _refuse(self, record: Record, error: ValueError) -> None:
        self.reading.refused += 1
        place = f"{record.topic} partition {record.partition} offset {record.offset}"
        self.reading.refused_last = cut(f"{place}: {error}")
