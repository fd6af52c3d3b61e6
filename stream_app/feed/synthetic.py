"""Synthetic ticks that behave like prices: bursts of volatility, and jumps. No I/O."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from stream_app.errors import SourceError
from stream_app.feed.pace import Speed
from stream_app.feed.symbols import checked_symbol
from stream_app.messages.schemas import Tick

SOURCE: Final = "synthetic"
YEARLY_VOLATILITY: Final = 0.6
DEFAULT_INTERVAL_MS: Final = 1000.0

_ALPHA, _BETA = 0.10, 0.88  # GARCH(1,1): a burst of volatility halves in about 35 ticks
_JUMP_PROBABILITY: Final = 1 / 2000
_JUMP_SCALE: Final = 12.0  # standard deviation of a jump, in those of a tick
_SECONDS_IN_YEAR: Final = 365 * 86_400
_BLOCK: Final = 1024
_CLOCK_SPEED: Final = 1.000_001  # seconds of event time in a second, rounding allowed for


def fit_to_clock(
    speed: Speed,
    *,
    symbols: int,
    ticks: int | None,
    start_ms: int | None,
    interval_ms: float | None,
    now_ms: int,
) -> tuple[int, float]:
    """Start and interval, in ms, so that event times do not run ahead of the clock.

    A worker takes ticks from the future for errors. So ticks at a given rate are spaced by that
    rate; and ticks faster than the clock end now, instead of starting now.

    Args:
        speed: how fast the ticks will be sent.
        symbols: how many there are.
        ticks: how many there will be; None if they do not end.
        start_ms: what the user asked for, if anything; it is kept.
        interval_ms: the same, for the event time between two ticks of one symbol.
        now_ms: the clock, epoch ms.

    Raises:
        SourceError: ticks without end and without a start are faster than the clock.
    """
    if interval_ms is None:
        rate = speed.per_second
        interval_ms = DEFAULT_INTERVAL_MS if rate is None else 1000 * symbols / rate
    if start_ms is not None:
        return start_ms, interval_ms
    step_ms = interval_ms / symbols
    if speed.event_seconds(1000 / step_ms) <= _CLOCK_SPEED:
        return now_ms, interval_ms
    if ticks is None:
        raise SourceError(
            "synthetic ticks without end, faster than the clock, from now on: they would lie in "
            "the future, where a worker refuses them; give --ticks, --start or a slower --speed"
        )
    return now_ms - round(ticks * step_ms), interval_ms


def synthetic_ticks(
    *,
    symbols: Sequence[str],
    seed: int,
    start_ms: int,
    interval_ms: float,
    volatility: float = YEARLY_VOLATILITY,
) -> Iterator[Tick]:
    """Ticks without end, in order of event time; `itertools.islice` bounds them.

    The symbols take turns, evenly spread over each interval. A symbol's prices and sizes depend
    on the seed and its name only, not on the other symbols. Does not block.

    Args:
        symbols: one or more, each once.
        seed: the same seed gives the same ticks.
        start_ms: event time of the first tick, epoch ms.
        interval_ms: event time between two ticks of one symbol; may be a fraction of 1.
        volatility: standard deviation of the log return over a year, about.

    Raises:
        SourceError: a symbol is malformed or given twice, or there is none.
    """
    names = [checked_symbol(name) for name in symbols]
    if not names or len(set(names)) < len(names):
        raise SourceError(
            f"symbols {', '.join(names) or '(none)'}: looked for one or more different ones; "
            "give each once with --symbol NAME"
        )
    deviation = volatility * math.sqrt(interval_ms / 1000 / _SECONDS_IN_YEAR)
    walks = [_walk(name, seed, deviation) for name in names]
    return _in_turns(names, walks, start_ms, interval_ms / len(names))


def _in_turns(
    names: Sequence[str], walks: Sequence[Iterator[tuple[float, float]]], start_ms: int, step: float
) -> Iterator[Tick]:
    turns = zip(itertools.cycle(names), itertools.cycle(walks), strict=False)
    for nth, (name, walk) in enumerate(turns):
        price, size = next(walk)
        yield Tick(
            symbol=name, price=price, ts=start_ms + int(nth * step), size=size, source=SOURCE
        )


def _walk(name: str, seed: int, deviation: float) -> Iterator[tuple[float, float]]:
    """Prices and sizes of one symbol: a random walk of log returns under GARCH(1,1), with jumps.

    Jumps do not feed the variance, so that it stays around `deviation` squared.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    log_price = math.log(rng.uniform(20, 2000))
    mean_variance = deviation**2
    floor = mean_variance * (1 - _ALPHA - _BETA)
    variance = mean_variance
    while True:
        normals = rng.standard_normal(_BLOCK).tolist()
        jumps = (
            rng.standard_normal(_BLOCK)
            * (rng.random(_BLOCK) < _JUMP_PROBABILITY)
            * (_JUMP_SCALE * deviation)
        ).tolist()
        sizes = np.round(rng.lognormal(0.0, 1.0, _BLOCK), 4).tolist()
        for normal, jump, size in zip(normals, jumps, sizes, strict=True):
            shock = normal * math.sqrt(variance)
            variance = floor + _ALPHA * shock * shock + _BETA * variance
            log_price += shock + jump
            yield round(math.exp(log_price), 6), size
