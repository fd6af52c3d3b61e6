"""The dead letters of all partitions: how many of each reason, the newest, and whether it floods.

Pure.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from stream_app.dead_letters.letter import Letter
from stream_app.overview.flood import Flood
from stream_app.overview.inputs import cut

KEPT_LETTERS: Final = 50
MOST_REASONS: Final = 32
"""More than there are codes: whatever else a record calls a reason is counted together."""
OTHER: Final = "other"
_SHOWN_BYTES: Final = 200


class LetterBox:
    """What was read of the dead-letter topic.

    Args:
        monotonic: the clock by which letters flood, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        """By reason, of the letters that were read: the newest ones at start, and all since."""
        self.newest: deque[Letter] = deque(maxlen=KEPT_LETTERS)
        self.written_ms = 0
        """When the newest one was written, wall clock, epoch milliseconds."""
        self._flood = Flood(monotonic)
        self._since_start: deque[float] = deque(maxlen=10_000)
        self._monotonic = monotonic

    @property
    def is_flood(self) -> bool:
        """Whether more of the last minute's records are dead letters than every feed has."""
        return self._flood.is_on()

    @property
    def last_minute(self) -> int:
        """Letters that came within the last minute; more than 10,000 count as 10,000."""
        since = self._monotonic() - 60
        while self._since_start and self._since_start[0] < since:
            self._since_start.popleft()
        return len(self._since_start)

    def take(self, letter: Letter, *, is_new: bool) -> None:
        """Note a letter; one that was there before the start is not `is_new`."""
        reason = cut(letter.reason)
        known = reason in self.counts or len(self.counts) < MOST_REASONS
        self.counts[reason if known else OTHER] += 1
        self.newest.append(letter)
        self.written_ms = max(self.written_ms, letter.written_ms)
        if is_new:
            self._since_start.append(self._monotonic())
            self._flood.note(1, 1)

    def note_answers(self, count: int) -> None:
        """Note records that were answered, and so are no letters."""
        self._flood.note(count, 0)

    def table(self) -> list[dict[str, Any]]:
        """Fit for JSON: the newest letters, the newest first."""
        letters = sorted(self.newest, key=lambda item: item.written_ms, reverse=True)
        return [_row(letter) for letter in letters]


def _row(letter: Letter) -> dict[str, Any]:
    source = letter.source
    return {
        "written_ms": letter.written_ms,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": cut(letter.reason),
        "detail": cut(letter.detail),
        "key": _shown(letter.key),
        "value": _shown(letter.value),
        "tick_offset": None if source is None else source.offset,
    }


def _shown(content: bytes | None) -> str | None:
    return None if content is None else cut(content[:_SHOWN_BYTES].decode(errors="replace"))
