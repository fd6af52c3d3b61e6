"""Files of ticks, quotes or bars, as ticks in order of event time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.bar_ends import bars_by_end
from stream_app.feed.bar_lengths import BadBarError, bar_lengths, of_each
from stream_app.feed.bars import bars_to_ticks
from stream_app.feed.columns import Kind
from stream_app.feed.doubts import of_repeated, refuse_instruments, refuse_midnights, refuse_points
from stream_app.feed.layout import Layout
from stream_app.feed.part import Part, read_part
from stream_app.feed.rows import TickRows
from stream_app.feed.symbols import checked_symbol
from stream_app.feed.understood import Row, Understood
from stream_app.messages.schemas import Tick


@dataclass(frozen=True, slots=True)
class TickFile:
    """Files that were read and understood."""

    paths: tuple[Path, ...]
    kind: Kind
    symbols: tuple[str, ...]
    """In the order in which the files name them."""
    notices: tuple[str, ...]
    """What the user should know and need not fix, one line each."""
    rows: TickRows
    understood: Understood

    @property
    def count(self) -> int:
        """How many ticks the files give."""
        return len(self.rows.ts)

    @property
    def ticks(self) -> Iterator[Tick]:
        """The ticks in order of event time; each call begins again. Does not block."""
        return self.rows.ticks(self.symbols)


def read_ticks(
    path: Path | Sequence[Path],
    *,
    symbol: str | None = None,
    columns: Mapping[str, str] | None = None,
    layout: Layout | None = None,
    skip_bad_rows: bool = False,
    pick: bool = False,
) -> TickFile:
    """Read a file of ticks, quotes, or bars, which become four ticks each (`bars_to_ticks`).

    Several files are read as one, in order of time. Blocks on reading all of them. Rows out of
    order of time are sorted, with a notice.

    Args:
        path: one file or several of one kind; see `open_table` for the kinds.
        symbol: the symbol of files without a column of symbols; by default a file's name without
            its endings, in capitals: `btc-perp-1m.csv.gz` is BTC-PERP-1M.
        columns: role -> column name, for columns without a usual name; goes before the layout's.
        layout: how the files are laid out, as far as that is known.
        skip_bad_rows: leave out the rows that cannot be used, instead of refusing the file.
        pick: whether `symbol` may be given for a file that names its symbols, because the caller
            picks it among them.

    Raises:
        SourceError: a file or one of its rows cannot be understood.
    """
    paths = (path,) if isinstance(path, Path) else tuple(path)
    if symbol is not None:
        checked_symbol(symbol)
    chosen = layout.overlaid(columns=columns) if layout and columns else layout
    if chosen is None and columns:
        chosen = Layout(columns=dict(columns))
    parts = [read_part(each, symbol, chosen, pick=pick) for each in paths]
    kinds = {part.kind for part in parts}
    if len(kinds) > 1:
        told = ", ".join(f"{part.path.name} is of {part.kind}" for part in parts)
        raise SourceError(f"files of different kinds: {told}; looked for one; feed them apart")
    ended = [part for part in parts if part.named_by_end]
    if ended and len(ended) < len(parts):
        raise SourceError(
            f"{ended[0].path.name} names bars by their ends, another file by their starts; looked "
            "for one of both; feed them apart"
        )
    if len(parts) > 1 and symbol is None and not all(part.named_by_column for part in parts):
        raise SourceError(
            f"{len(parts)} files without a column of symbols; looked for the symbol that they "
            "are of; give it with --symbol NAME"
        )
    for part in parts:
        refuse_instruments(part)
        refuse_points(part)
    merged = _Merged(parts)
    for part in parts:
        if part.bad.problems and not (skip_bad_rows and part.bad.good.any()):
            raise part.refusal()
        refuse_midnights(part)
    return merged.tick_file()


class _Merged:
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

    def tick_file(self) -> TickFile:
        lengths = self._begin_bars() if self.kind == "bars" else None
        if lengths is not None:
            rows = bars_to_ticks(self.ts, self.price, self.size, self.code, lengths)
        else:
            price = self.price[:, 0]
            rows = TickRows(self.ts, price, self.size, self.code, self._told_apart(price))
        return TickFile(
            paths=tuple(part.path for part in self._parts),
            kind=self.kind,
            symbols=self.symbols,
            notices=(
                *(notice for part in self._parts for notice in part.notices),
                *(() if lengths is None else self._of_several_lengths(lengths)),
            ),
            rows=rows,
            understood=self._understood(lengths),
        )

    def _begin_bars(self) -> NDArray[np.int64]:
        """Put bars that are named by their ends where they begin; how long all bars last, ms."""
        ended = [part for part in self._parts if part.named_by_end]
        try:
            if not ended:
                return bar_lengths(self.ts, self.code, self._part)
            self.ts, lengths = bars_by_end(self.ts, self.code, self._part)
        except BadBarError as error:
            part = self._parts[self._part[error.at]]
            raise part.refused_at(int(self._row[error.at]), error.problem) from None
        for part in ended:
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

    def _understood(self, lengths: NDArray[np.int64] | None) -> Understood:
        first_part = self._parts[0]
        skipped: dict[str, int] = {}
        for part in self._parts:
            for kind, count in part.bad.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
        return Understood(
            paths=tuple(part.path for part in self._parts),
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
