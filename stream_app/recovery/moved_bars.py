"""Bars that a symbol brings along when it comes from another partition. No I/O.

They are published into the partition that it comes to, oldest first, before its first tick there
is answered. The last one carries its state. Only all of them together count: a worker that was
killed in between leaves a part, and the next one begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from stream_app.messages.read_bars import MOVED, ReadBar, whole
from stream_app.messages.schemas import Bar, Source

_KEPT: Final = ("floor", "topic_id", "is_anew", "counts", "home")
"""Parts of the last bar's state that each carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where a symbol went, as each bar that it brought along says."""

    begins: bool
    """Whether it is the first bar."""
    ends: bool
    """Whether it is the last one, with the state."""
    before: int
    """Offset of the symbol's first tick in the partition that it came to."""
    by: str = ""
    """Who moves it: one more attempt has another name."""


def move_of(bar: Bar) -> Move | None:
    """What a bar says of a move; None where it was not brought along.

    Raises:
        TypeError: it says something else.
    """
    said = bar.state.get(MOVED)
    return None if said is None else Move(**said)


def packed(bars: Sequence[Bar | ReadBar], last: Bar, *, before: int, by: str) -> Iterator[Bar]:
    """The bars to publish.

    Args:
        bars: closed ones, oldest first, but for the last.
        last: with the state; its source is the newest tick that the state covers, in the partition
            that the symbol comes from.
        before: offset of the symbol's first tick in the partition that it comes to.
        by: names this attempt.
    """
    kept = {name: last.state[name] for name in _KEPT}
    later = {**kept, MOVED: asdict(Move(begins=False, ends=False, before=before, by=by))}
    first = {**kept, MOVED: asdict(Move(begins=True, ends=False, before=before, by=by))}
    for number, bar in enumerate(bars):
        yield replace(whole(bar), state=later if number else first, source=last.source)
    move = Move(begins=not bars, ends=True, before=before, by=by)
    yield replace(last, state={**last.state, MOVED: asdict(move)})


class MovedBars:
    """Collects what symbols bring along, as it is read from a partition of the bars topic."""

    def __init__(self) -> None:
        self._coming: dict[str, dict[str, list[Bar]]] = {}
        """By symbol and who moves it."""
        self.came: dict[str, int] = {}
        """By symbol, before which offset it came."""

    @property
    def are_coming(self) -> bool:
        """Whether a part of what a symbol brings along is there."""
        return any(bars for attempts in self._coming.values() for bars in attempts.values())

    def take(self, bar: Bar, move: Move, partition: int) -> list[Bar]:
        """Take the next one.

        Where two workers moved a symbol to one place, since one did not know yet that the other
        has the partition, the first that was through counts, also where they wrote by turns.

        Args:
            bar: the bar.
            move: what it says.
            partition: where it was read.

        Returns:
            All bars once the last one is there, else none, as bars of this partition: made just
            before the symbol's first tick there.
        """
        symbol = bar.symbol
        here = Source(topic=bar.source.topic, partition=partition, offset=move.before - 1)
        attempts = self._coming.setdefault(symbol, {})
        if move.begins:
            attempts[move.by] = []
        coming = attempts.get(move.by)
        if coming is None or self.came.get(symbol) == move.before:
            return []
        state = {name: item for name, item in bar.state.items() if name != MOVED}
        coming.append(replace(bar, source=here, state=state))
        if not move.ends:
            return []
        self.came[symbol] = move.before
        del self._coming[symbol]
        return coming
