"""The rows of several files as one, and how they were understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_app.feed.bar_ends import bars_by_end
from stream_app.feed.bar_lengths import BadBarError, bar_lengths, of_each
from stream_app.feed.bars import bars_to_ticks
from stream_app.feed.doubts import of_repeated
from stream_app.feed.part import Part
from stream_app.feed.rows import TickRows
from stream_app.feed.understood import Row, Understood


class Merged:
    """The usable rows of all files, in order of time."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = sorted(parts, key=lambda part: part.first_ts)
        self.kind = parts[0].kind
        self.symbols = tuple(dict.fromkeys(name for part in parts for name in part.symbols))
        self._gather()
        if self.kind == "bars":
            self._note_repeated_bars()

    def _gather(self) -> None:
        parts = self._parts
        kept = [part.order[part.bad.good[part.order]] for part in parts]
        self._row = np.concatenate(kept)
        self._part = np.repeat(np.arange(len(parts)), [len(rows) for rows in kept])
        pairs = list(zip(parts, kept, strict=True))
        self.ts = np.concatenate([part.ts[rows] for part, rows in pairs])
        self.price = np.concatenate([part.price[rows] for part, rows in pairs])
        self.size = None
        if any(part.size is not None for part in parts):
            self.size = np.concatenate([part.sizes[rows] for part, rows in pairs])
        place = {name: at for at, name in enumerate(self.symbols)}
        self.code = np.concatenate(
            [
                np.array([place[name] for name in part.symbols])[part.code[rows]]
                for part, rows in pairs
            ]
        ).astype(np.int64)
        self._ids: NDArray[np.object_] | None = None
        if any(part.ids is not None for part in parts):
            self._ids = np.concatenate([part.ids_or_none[rows] for part, rows in pairs])
        self._sort()

    def _sort(self) -> NDArray[np.int64]:
        """By time; rows of the same time stay in their order, which is returned."""
        order = np.argsort(self.ts, kind="stable")
        self.ts, self.price, self.code = self.ts[order], self.price[order], self.code[order]
        self._row, self._part = self._row[order], self._part[order]
        self.size = None if self.size is None else self.size[order]
        self._ids = None if self._ids is None else self._ids[order]
        return order

    def _note_repeated_bars(self) -> None:
        """A second bar of a symbol at a time is bad, also where another file has the first."""
        repeated = pd.DataFrame({"code": self.code, "ts": self.ts}).duplicated().to_numpy()
        if not repeated.any():
            return
        for at, part in enumerate(self._parts):
            mine = repeated & (self._part == at)
            bad = np.zeros(len(part.ts), dtype=bool)
            bad[self._row[mine]] = True
            part.bad.note(
                "repeated_bar",
                bad,
                found=lambda _: "a second bar of its symbol at its time",
                wanted="one",
                remedy=of_repeated(part, len(self._parts)),
            )
        self._gather()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of the files, by their first rows."""
        return tuple(part.path for part in self._parts)

    def rows(self, lengths: NDArray[np.int64] | None) -> TickRows:
        """The ticks; of bars, how long each lasts is needed, as `begin_bars` gave it."""
        if lengths is not None:
            return bars_to_ticks(self.ts, self.price, self.size, self.code, lengths)
        price = self.price[:, 0]
        return TickRows(self.ts, price, self.size, self.code, self._told_apart(price))

    def notices(self, lengths: NDArray[np.int64] | None) -> tuple[str, ...]:
        """What the user should know of each file, one line each."""
        return (
            *(notice for part in self._parts for notice in part.notices),
            *(() if lengths is None else self._of_several_lengths(lengths)),
        )

    def begin_bars(self) -> NDArray[np.int64]:
        """Put bars that are named by their ends where they begin; how long all bars last, ms.

        Raises:
            SourceError: their lengths are unknown, or they overlap.
        """
        try:
            if not self._parts[0].named_by_end:  # nor are the others, or `read_ticks` refuses them
                return bar_lengths(self.ts, self.code, self._part)
            self.ts, lengths = bars_by_end(self.ts, self.code, self._part)
        except BadBarError as error:
            part = self._parts[self._part[error.at]]
            raise part.refused_at(int(self._row[error.at]), error.problem) from None
        for part in self._parts:
            part.notices += (
                f"{part.path}: {part.columns['time']} is the end of each bar, which begins its "
                "length before; if it is the start, give --bar-times start",
            )
        return lengths[self._sort()]

    def _of_several_lengths(self, lengths: NDArray[np.int64]) -> Iterator[str]:
        """A notice for each file, where not all bars are of one length."""
        if (lengths == lengths[0]).all():
            return
        for at, part in enumerate(self._parts):
            found = zip(*np.unique(lengths[self._part == at], return_counts=True), strict=True)
            told = " and ".join(f"{count:,} bars of {ms / 1000:g} s" for ms, count in found)
            yield f"{part.path}: {told}; each is read with its own length"

    def _told_apart(self, price: NDArray[np.float64]) -> NDArray[np.object_] | None:
        """Ids for the topic: the file's own, or a number for the second and later of equal trades.

        Equal rows of one file are different trades. Those of two files that overlap get the same
        numbers, so the window takes them once, as it does when a file is fed again.
        """
        if self._ids is not None:
            return self._ids
        if self.size is None or len(self.ts) < 2:
            return None
        beside = np.zeros(len(self.ts), dtype=bool)
        same = self.ts[1:] == self.ts[:-1]
        beside[1:] |= same
        beside[:-1] |= same
        beside &= ~np.isnan(self.size)
        if not beside.any():
            return None
        at = np.flatnonzero(beside)
        keys = {"ts": self.ts, "code": self.code, "price": price, "size": self.size}
        table = pd.DataFrame({name: values[at] for name, values in keys.items()})
        table["part"] = self._part[at]
        number = table.groupby([*keys, "part"], sort=False).cumcount().to_numpy()
        ids = np.full(len(self.ts), None, dtype=np.object_)
        repeated = number > 0
        ids[at[repeated]] = [str(nth + 1) for nth in number[repeated]]
        return ids if repeated.any() else None

    def understood(self, lengths: NDArray[np.int64] | None) -> Understood:
        """How the files were read."""
        first_part = self._parts[0]
        skipped: dict[str, int] = {}
        for part in self._parts:
            for kind, count in part.bad.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
        return Understood(
            paths=self.paths,
            kind=self.kind,
            spacing_s=self._spacing_s(lengths),
            rows=len(self.ts),
            skipped=skipped,
            columns=first_part.columns,
            unused=first_part.unused,
            time_format=", ".join(dict.fromkeys(part.time_format for part in self._parts)),
            time_zone=", ".join(dict.fromkeys(part.time_zone for part in self._parts)),
            symbols=self.symbols,
            symbol_from=first_part.symbol_from,
            taken_for=first_part.taken_for,
            first=self._as_row(0),
            last=self._as_row(-1),
        )

    def _spacing_s(self, lengths: NDArray[np.int64] | None) -> float | None:
        if lengths is not None:
            each = of_each(self.ts, self.code, self._part)
            return max(_most_frequent(lengths[mine]) for mine in each) / 1000
        by_symbol = np.lexsort((self.ts, self.code))
        gaps = np.diff(self.ts[by_symbol])[np.diff(self.code[by_symbol]) == 0]
        return float(np.median(gaps)) / 1000 if len(gaps) else None

    def _as_row(self, at: int) -> Row:
        size = None if self.size is None or np.isnan(self.size[at]) else float(self.size[at])
        return Row(ts=int(self.ts[at]), price=float(self.price[at, -1]), size=size)


def _most_frequent(values: NDArray[np.int64]) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])
