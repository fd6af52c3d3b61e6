"""Whether published prices and intervals hold on kinds of prices that two months hardly contain.

The prices are made. Each series is ten days of five-minute bars, given to `stream-app backtest`,
retrained daily; the second half of its time is scored. Printed are the mean R2 of what is published
against the last price, over several series (`--rounds`), its standard error, and the intervals'
coverage. Where nothing can be known, an R2 of 0 is right: the promise is never to be worse than the
last price.

`--quick` takes one series of each kind and one bar ahead: a smoke test, not a measurement.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from accuracy import backtest, write_bars
from harness import console, options, save, show
from numpy.typing import NDArray
from rich.table import Table

HORIZONS: Final = (1, 12)
DAY: Final = 288
BARS: Final = 10 * DAY
DEVIATION: Final = 1e-3
"""Of an ordinary bar's log return."""
STEPS: Final = 5
"""In which a bar's price walks."""
START: Final = datetime(2022, 1, 3, tzinfo=UTC)
"""A Monday."""
WEEK: Final = 5 * DAY
WEEKEND: Final = 2 * DAY

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """N bars of one kind of price."""

    returns: FloatArray
    """Log returns, shape (N,)."""
    deviation: FloatArray
    """Of each bar's walk, a log return, shape (N,)."""
    start: float = 100.0
    mistakes: Mapping[int, float] = field(default_factory=dict)
    """By bar, by how much its last price alone is wrong, a log return."""
    closes_at_weekends: bool = False


def walk(rng: np.random.Generator, deviation: FloatArray) -> Kind:
    """A random walk with these deviations."""
    return Kind(returns=rng.normal(0, 1, len(deviation)) * deviation, deviation=deviation)


def plain(rng: np.random.Generator) -> Kind:
    """A random walk."""
    return walk(rng, np.full(BARS, DEVIATION))


def garch(rng: np.random.Generator) -> Kind:
    """GARCH(1,1), alpha 0.1, beta 0.88, innovations of Student's t with 4 degrees of freedom."""
    variance, returns, deviation = DEVIATION**2, np.empty(BARS), np.empty(BARS)
    for at, shock in enumerate(rng.standard_t(4, BARS) / np.sqrt(2.0)):
        deviation[at] = np.sqrt(variance)
        returns[at] = deviation[at] * shock
        variance = 0.02 * DEVIATION**2 + 0.1 * returns[at] ** 2 + 0.88 * variance
    return Kind(returns=returns, deviation=deviation)


def reverting(rng: np.random.Generator) -> Kind:
    """Ornstein-Uhlenbeck, half-life four hours: 0.7 % of a bar's variance is predictable."""
    keep, level, returns = 0.5 ** (1 / 48), 0.0, np.empty(BARS)
    for at, shock in enumerate(rng.normal(0, DEVIATION, BARS)):
        returns[at] = (keep - 1) * level + shock
        level += returns[at]
    return Kind(returns=returns, deviation=np.full(BARS, DEVIATION))


def turning(rng: np.random.Generator) -> Kind:
    """Returns with the correlation 0.3 with the last; -0.3 in the second half of what is scored."""
    returns, last = np.empty(BARS), 0.0
    for at, shock in enumerate(rng.normal(0, DEVIATION * np.sqrt(1 - 0.3**2), BARS)):
        returns[at] = last = (0.3 if at < 3 * BARS // 4 else -0.3) * last + shock
    return Kind(returns=returns, deviation=np.full(BARS, DEVIATION))


def tiny(rng: np.random.Generator) -> Kind:
    """A random walk of a price of a millionth."""
    return replace(plain(rng), start=1e-6)


def huge(rng: np.random.Generator) -> Kind:
    """A random walk of a price of ten millions."""
    return replace(plain(rng), start=1e7)


def outliers(rng: np.random.Generator) -> Kind:
    """A random walk; the last price of one bar in 300 is 5 % off."""
    at = np.flatnonzero(rng.random(BARS) < 1 / 300)
    mistakes = dict(zip(at.tolist(), rng.choice([-0.05, 0.05], len(at)).tolist(), strict=True))
    return replace(plain(rng), mistakes=mistakes)


def daily(rng: np.random.Generator) -> Kind:
    """A random walk that is seven times as volatile at noon as at midnight."""
    return walk(rng, DEVIATION * np.exp(-np.cos(2 * np.pi * np.arange(BARS) / DAY)))


def trend(rng: np.random.Generator) -> Kind:
    """A random walk that rises by 2 % a day."""
    made = plain(rng)
    return replace(made, returns=made.returns + 0.02 / DAY)


def regimes(rng: np.random.Generator) -> Kind:
    """A random walk, five times as volatile in the second half of what is scored."""
    return walk(rng, np.where(np.arange(BARS) < 3 * BARS // 4, 1.0, 5.0) * DEVIATION)


def weekends(rng: np.random.Generator) -> Kind:
    """A random walk without bars at weekends, after which the price opens about 3 % away."""
    made = plain(rng)
    opening = np.arange(BARS) % WEEK == 0
    return replace(
        made, returns=made.returns + opening * rng.normal(0, 0.03, BARS), closes_at_weekends=True
    )


KINDS: Final[Mapping[str, Callable[[np.random.Generator], Kind]]] = {
    "random walk": plain,
    "GARCH, fat tails": garch,
    "mean reversion, half-life 4 h": reverting,
    "momentum that turns": turning,
    "price 0.000001": tiny,
    "price 10,000,000": huge,
    "outliers of 5 %": outliers,
    "time of day": daily,
    "trend of 2 % a day": trend,
    "five times as volatile": regimes,
    "weekends": weekends,
}


def walked(kind: Kind, rng: np.random.Generator) -> Iterator[tuple[datetime, FloatArray]]:
    """The ways of bars of this kind, for `write_bars`; each walks to its close."""
    price = kind.start
    share = np.arange(1, STEPS + 1) / STEPS
    for number, (step, deviation) in enumerate(zip(kind.returns, kind.deviation, strict=True)):
        along = np.cumsum(rng.normal(0, deviation / np.sqrt(STEPS), STEPS))
        path = price * np.exp(along + share * (step - along[-1]))
        price = float(path[-1])
        path[-1] *= np.exp(kind.mistakes.get(number, 0.0))
        weekends = number // WEEK if kind.closes_at_weekends else 0
        yield START + timedelta(minutes=5 * (number + WEEKEND * weekends)), path


def measured(name: str, seeds: int, horizons: tuple[int, ...]) -> dict[int, list[dict[str, Any]]]:
    """By horizon, what the command says of each series of a kind."""
    found: dict[int, list[dict[str, Any]]] = {horizon: [] for horizon in horizons}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            rng = np.random.default_rng([seed, list(KINDS).index(name)])
            file = Path(folder) / f"{seed}.csv"
            write_bars(file, walked(KINDS[name](rng), rng))
            for horizon, said in backtest(file, horizons, None):
                found[horizon].append(said)
    return found


def cells(series: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """R2 with its standard error, and the coverage of each level, over series."""
    gains = [100 * each["published"]["mse_skill"] for each in series]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else None
    told = f"{statistics.mean(gains):+.3f} %" + ("" if error is None else f" ± {error:.3f}")
    levels = zip(*(each["intervals"] for each in series), strict=True)
    inner, outer = (statistics.mean(each["coverage"] for each in level) for level in levels)
    return told, f"{inner:.3f}", f"{outer:.3f}"


def main() -> None:
    chosen, _ = options(__doc__)
    horizons, seeds = (HORIZONS[:1], 1) if chosen.quick else (HORIZONS, chosen.rounds)
    shown = Table(title=f"R2 of what is published, mean of {seeds} series", title_justify="left")
    shown.add_column("")
    for horizon in horizons:
        for column in (f"{horizon} bars", "0.5 held", "0.9 held"):
            shown.add_column(column, justify="right")
    results: dict[str, Any] = {}
    for number, name in enumerate(KINDS, 1):
        console.print(f"kind {number} of {len(KINDS)}: {name}", highlight=False)
        found = measured(name, seeds, horizons)
        results[name] = {str(horizon): series for horizon, series in found.items()}
        shown.add_row(name, *(cell for series in found.values() for cell in cells(series)))
        save(chosen, results)
    show(shown)


if __name__ == "__main__":
    main()
