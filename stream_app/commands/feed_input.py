"""What `stream-app feed` sends: synthetic ticks, or those of files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.files import TickFile
from stream_app.feed.future import beyond_the_clock
from stream_app.feed.pace import Speed
from stream_app.feed.symbols import without_date
from stream_app.feed.synthetic import fit_to_clock, synthetic_ticks
from stream_app.feed.understood import FROM_NAME, Understood
from stream_app.messages.schemas import Tick

_DEFAULT_SYMBOL: Final = "SYNTHETIC"
DEFAULT_SEED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInput:
    """Ticks to be sent, and how fast."""

    source: str
    """What they come from, for messages."""
    ticks: Iterator[Tick]
    total: int | None
    """How many there are; None where they do not end."""
    speed: Speed
    times: NDArray[np.int64]
    """Event times of some of them, epoch ms, in order: of all ticks of files, of the first and the
    last synthetic one."""
    nth: NDArray[np.int64]
    """Which tick each of these is, from 0."""
    understood: Understood | None = None
    first: Mapping[str, int] = field(default_factory=dict)
    """By symbol, the event time of the first tick of files, epoch ms."""

    def beyond_the_clock(self, now_ms: int, max_future_seconds: float) -> str | None:
        """As the function of this name."""
        return beyond_the_clock(
            self.source,
            self.times,
            self.nth,
            speed=self.speed,
            now_ms=now_ms,
            max_future_seconds=max_future_seconds,
        )


def of_synthetic(
    symbols: tuple[str, ...],
    *,
    ticks: int | None,
    speed: Speed | None,
    seed: int | None,
    start_ms: int | None,
    interval_ms: float | None,
    now_ms: int,
) -> FeedInput:
    """Synthetic ticks. Each argument but the last may be None or empty, for the default.

    Args:
        symbols: whose.
        ticks: how many; by default they do not end.
        speed: by default that of the clock, and as fast as possible where they end.
        seed: the same one gives the same prices.
        start_ms: event time of the first one, epoch ms.
        interval_ms: event time between two of a symbol.
        now_ms: the clock, epoch ms.

    Raises:
        SourceError: they would lie in the future, or a name cannot be a symbol.
    """
    speed = speed or (Speed() if ticks is not None else Speed(factor=1.0))
    names = symbols or (_DEFAULT_SYMBOL,)
    start_ms, interval_ms = fit_to_clock(
        speed,
        symbols=len(names),
        ticks=ticks,
        start_ms=start_ms,
        interval_ms=interval_ms,
        now_ms=now_ms,
    )
    endless = synthetic_ticks(
        symbols=names,
        seed=DEFAULT_SEED if seed is None else seed,
        start_ms=start_ms,
        interval_ms=interval_ms,
    )
    nth = np.array([0, (ticks or 1) - 1])
    return FeedInput(
        source="synthetic",
        ticks=itertools.islice(endless, ticks),
        total=ticks,
        speed=speed,
        times=start_ms + (nth * (interval_ms / len(names))).astype(np.int64),
        nth=nth,
    )


def of_files(file: TickFile, *, limit: int | None, speed: Speed | None) -> FeedInput:
    """The ticks of files.

    Args:
        file: what was read.
        limit: at most so many.
        speed: by default as fast as possible.

    Raises:
        SourceError: the symbol would have a file's date in it.
    """
    understood = file.understood
    for symbol in understood.symbols if understood.symbol_from == FROM_NAME else ():
        if (bare := without_date(symbol)) is not None:
            raise SourceError(
                f"{file.paths[0]}: no column of symbols, and the file's name has a date; looked "
                f"for the symbol; give --symbol {bare}, or --symbol {symbol} if that is it"
            )
    total = file.count if limit is None else min(limit, file.count)
    times = file.rows.ts[:total]
    codes, positions = np.unique(file.rows.code[:total], return_index=True)
    return FeedInput(
        source=str(file.paths[0]) if len(file.paths) == 1 else f"{len(file.paths)} files",
        ticks=itertools.islice(file.ticks, total),
        total=total,
        speed=speed or Speed(),
        times=times,
        nth=np.arange(total),
        understood=understood,
        first={
            file.symbols[code]: int(times[position])
            for code, position in zip(codes.tolist(), positions.tolist(), strict=True)
        },
    )
