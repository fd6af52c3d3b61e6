"""Files of ticks, quotes or bars, as ticks in order of event time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_app.errors import SourceError
from stream_app.feed.columns import Kind
from stream_app.feed.doubts import refuse_instruments, refuse_midnights, refuse_points
from stream_app.feed.layout import Layout
from stream_app.feed.merged import Merged
from stream_app.feed.part import read_part
from stream_app.feed.rows import TickRows
from stream_app.feed.symbols import checked_symbol
from stream_app.feed.understood import Understood
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
    merged = Merged(parts)
    for part in parts:
        if part.bad.problems and not (skip_bad_rows and part.bad.good.any()):
            raise part.refusal()
        refuse_midnights(part)
    lengths = merged.begin_bars() if merged.kind == "bars" else None
    return TickFile(
        paths=merged.paths,
        kind=merged.kind,
        symbols=merged.symbols,
        notices=merged.notices(lengths),
        rows=merged.rows(lengths),
        understood=merged.understood(lengths),
    )
