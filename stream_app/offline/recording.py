"""Several files as one recording of ticks, in order of event time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.files import TickFile
from stream_app.feed.rows import TickRows
from stream_app.messages.schemas import Tick

LONG_GAP_MS: Final = 3 * 86_400_000
"""Longer than a weekend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time without a tick of a symbol; both ends are event times of ticks, epoch ms."""

    symbol: str
    after: int
    before: int

    def __str__(self) -> str:
        days = (self.before - self.after) / 86_400_000
        return (
            f"{self.symbol} has no tick from {_utc(self.after)} to {_utc(self.before)}, "
            f"{days:.1f} days"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Ticks of any number of symbols as arrays, in order of event time."""

    symbols: tuple[str, ...]
    rows: TickRows

    @classmethod
    def of(cls, files: Sequence[TickFile]) -> Recording:
        """Merge files. Ticks at the same time keep the order of the files.

        Args:
            files: at least one; each was read by itself, for the length of the bars is a file's.

        Raises:
            SourceError: two files of bars have the same symbol at the same time.
        """
        _refuse_overlaps(files)
        symbols = tuple(dict.fromkeys(name for file in files for name in file.symbols))
        rows = [file.rows for file in files]
        ts = np.concatenate([each.ts for each in rows])
        order = np.argsort(ts, kind="stable")
        code = [
            np.array([symbols.index(name) for name in file.symbols], dtype=np.int64)[file.rows.code]
            for file in files
        ]
        return cls(
            symbols=symbols,
            rows=TickRows(
                ts=ts[order],
                price=np.concatenate([each.price for each in rows])[order],
                size=np.concatenate([_sizes(each) for each in rows])[order],
                code=np.concatenate(code)[order],
                id=np.concatenate([_ids(each) for each in rows])[order],
                is_settled=np.concatenate([_settled(each) for each in rows])[order],
            ),
        )

    def __len__(self) -> int:
        """How many ticks there are."""
        return len(self.rows.ts)

    def __iter__(self) -> Iterator[Tick]:
        """The ticks; each call begins again."""
        return self.rows.ticks(self.symbols)

    @property
    def is_settled(self) -> NDArray[np.bool_]:
        """By offset, whether a tick does not reveal how its file's bar ends."""
        return _settled(self.rows)

    @property
    def moves(self) -> bool:
        """Whether the price of any symbol ever changes."""
        prices = (self.rows.price[self.rows.code == code] for code in range(len(self.symbols)))
        return any(len(each) > 0 and bool((each != each[0]).any()) for each in prices)

    def head(self, count: int) -> Recording:
        """The first ticks, as views."""
        given = self.rows
        return Recording(
            symbols=self.symbols,
            rows=TickRows(
                ts=given.ts[:count],
                price=given.price[:count],
                size=None if given.size is None else given.size[:count],
                code=given.code[:count],
                id=None if given.id is None else given.id[:count],
                is_settled=None if given.is_settled is None else given.is_settled[:count],
            ),
        )

    def until(self, ts: int) -> Recording:
        """The ticks at or before an event time, epoch ms."""
        return self.head(int(np.searchsorted(self.rows.ts, ts, side="right")))

    def long_gaps(self) -> list[Gap]:
        """The longest time without a tick of each symbol, where it is more than a weekend."""
        found = []
        for code, symbol in enumerate(self.symbols):
            ts = self.rows.ts[self.rows.code == code]
            steps = np.diff(ts)
            if len(steps) and steps.max() > LONG_GAP_MS:
                at = int(steps.argmax())
                found.append(Gap(symbol=symbol, after=int(ts[at]), before=int(ts[at + 1])))
        return found


def _sizes(rows: TickRows) -> NDArray[np.float64]:
    return np.full(len(rows.ts), np.nan) if rows.size is None else rows.size


def _ids(rows: TickRows) -> NDArray[np.object_]:
    return np.full(len(rows.ts), None, dtype=np.object_) if rows.id is None else rows.id


def _settled(rows: TickRows) -> NDArray[np.bool_]:
    return np.ones(len(rows.ts), dtype=np.bool_) if rows.is_settled is None else rows.is_settled


def _refuse_overlaps(files: Sequence[TickFile]) -> None:
    """Bars of one symbol that two files have would be taken for more trades than there were."""
    spans: dict[str, list[tuple[int, int, Path]]] = {}
    for file in files:
        if file.kind != "bars":
            continue
        for code, symbol in enumerate(file.symbols):
            ts = file.rows.ts[file.rows.code == code]
            if len(ts):
                spans.setdefault(symbol, []).append((int(ts[0]), int(ts[-1]), file.paths[0]))
    for symbol, found in spans.items():
        found.sort()
        for (_, end, path), (begin, _, other) in itertools.pairwise(found):
            if begin <= end:
                raise SourceError(
                    f"{path} and {other}: both have bars of {symbol} at {_utc(begin)}; looked for "
                    "each once; leave one of them out, or rename the symbol of one"
                )


def _utc(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%dT%H:%MZ}"
