"""The ticks of a demo: a month of history, and live ticks that continue it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from stream_app.clock import DAY_MS
from stream_app.errors import SourceError
from stream_app.feed.files import TickFile
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.messages.schemas import Tick

SYMBOL: Final = "DEMO-USD"
SEED: Final = 42
DAYS: Final = 30
TICKS_A_DAY: Final = 288 * 4


@dataclass(frozen=True, slots=True)
class History:
    """What the demo feeds before it goes live."""

    ticks: Iterable[Tick]
    count: int
    last: Tick
    """The live ticks continue from its price and time."""


def history(file: TickFile | None) -> History:
    """A file's ticks, or a synthetic month that ends now.

    Raises:
        SourceError: the file has several symbols.
    """
    if file is None:
        start = int(time.time() * 1000) - DAYS * DAY_MS
        interval = DAY_MS / TICKS_A_DAY
        endless = synthetic_ticks(symbols=[SYMBOL], seed=SEED, start_ms=start, interval_ms=interval)
        ticks = list(itertools.islice(endless, DAYS * TICKS_A_DAY))
        return History(ticks, len(ticks), ticks[-1])
    if len(file.symbols) > 1:
        raise SourceError(f"{file.paths[0]}: {len(file.symbols)} symbols; give a file of one")
    ticks = list(file.ticks)
    return History(ticks, len(ticks), ticks[-1])


def live(last: Tick, per_second: float) -> Iterator[Tick]:
    """Endless ticks that continue the history, `1 / per_second` seconds of event time apart."""
    interval = 1000 / per_second
    walk = synthetic_ticks(
        symbols=[last.symbol], seed=SEED + 1, start_ms=last.ts + 1, interval_ms=interval
    )
    first = next(walk)
    scale = last.price / first.price
    for tick in walk:
        yield replace(tick, price=tick.price * scale)
