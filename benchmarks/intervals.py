"""Prediction intervals on two months of bars: ours, plain ACI, GARCH(1,1) with normal errors.

All forecast the last price at each bar's close and take their outcomes when their horizon is over;
all are scored on the same bars. ACI (Gibbs and Candes 2021) has the step 0.005 of its paper and
the quantile of the absolute errors of a trailing 1,250 bars, without normalisation. GARCH is fitted
by `arch` every day on all bars before.

The step: returns and ranges times 3 from a bar on, at many bars of each month.

Beside each target is what of a miss may be chance: standard errors of coverages and of the Winkler
scores' ratios, with Bartlett's weights up to two horizons, for outcomes of overlapping horizons
are alike; of the coverage after a step, from step to step; and how often intervals that are exactly
right are as far off in their worst 288 bars.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from harness import options, progress, save, second, show
from numpy.typing import NDArray
from prices import month_pipeline, plain_settings
from rich.table import Table

from stream_app.bars.features import BarColumns
from stream_app.prediction.intervals import IntervalTrackers, returns_of
from stream_app.prediction.volatility import VolatilityForecast
from stream_app.scoring.chance import long_run_variance
from stream_app.scoring.intervals import (
    VOLATILE,
    IntervalScore,
    interval_score,
    winkler,
    worst_coverage,
)

FloatArray = NDArray[np.float64]

LEVELS: Final = (0.5, 0.9)
JUDGED: Final = 0.9
HORIZONS: Final = (1, 12)
WARM_UP: Final = 576
"""Bars before the first that is scored: GARCH needs some to be fitted to."""
DAY: Final = 288
ACI_STEP: Final = 0.005
ACI_BARS: Final = 1250
WEEKEND_HOURS: Final = 3
EXACT_RUNS: Final = 1000
STEP: Final = 3.0
BLOCK: Final = 12
AFTER: Final = 96
STEP_WARM_UP: Final = 1440
TARGETS: Final = {
    "coverage": 0.01,
    "worst 288": 0.045,
    "volatile fifth": 0.02,
    "weekends' first hours": 0.02,
    "winkler / ACI": 0.9,
    "winkler / GARCH": 1.0,
    "bars after a step": 36,
}


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of a month as log prices, N of them."""

    ts_open: NDArray[np.int64]
    close: FloatArray
    high: FloatArray
    low: FloatArray
    bar_ms: int

    @classmethod
    def of(cls, bars: BarColumns, bar_ms: int) -> Bars:
        return cls(bars.ts_open, bars.log_close, bars.log_high, bars.log_low, bar_ms)

    def __len__(self) -> int:
        return len(self.ts_open)

    def part(self, first: int, end: int) -> Bars:
        at = slice(first, end)
        arrays = (self.ts_open[at], self.close[at], self.high[at], self.low[at])
        return Bars(*arrays, self.bar_ms)

    def with_step(self, at: int, factor: float) -> Bars:
        """The same bars with returns and ranges times `factor` from bar `at` on."""
        scale = np.where(np.arange(len(self)) >= at, factor, 1.0)
        returns = np.diff(self.close, prepend=self.close[0]) * scale
        close = self.close[0] + np.cumsum(returns)
        before = np.concatenate([self.close[:1], self.close[:-1]])
        after = np.concatenate([close[:1], close[:-1]])
        high = after + (self.high - before) * scale
        low = after + (self.low - before) * scale
        return Bars(self.ts_open, close, high, low, self.bar_ms)

    def outcomes(self, horizon: int) -> FloatArray:
        """Each bar's log return over the horizon on the clock; NaN where that has no bar."""
        place = {ts: at for at, ts in enumerate(self.ts_open.tolist())}
        ahead = horizon * self.bar_ms
        then = [place.get(ts + ahead, -1) for ts in self.ts_open.tolist()]
        found = self.close[then] - self.close
        found[np.array(then) < 0] = np.nan
        return found

    def gaps(self) -> NDArray[np.int64]:
        """Before each bar, how many intervals without ticks."""
        steps = np.diff(self.ts_open, prepend=self.ts_open[0] - self.bar_ms)
        found: NDArray[np.int64] = steps // self.bar_ms - 1
        return found


@dataclass(frozen=True, slots=True)
class Side:
    """One method's intervals around the last price, log returns; NaN where it has none."""

    low: dict[float, FloatArray]
    high: dict[float, FloatArray]
    volatility: FloatArray


def empty(bars: Bars) -> Side:
    def new() -> dict[float, FloatArray]:
        return {level: np.full(len(bars), np.nan) for level in LEVELS}

    return Side(new(), new(), np.full(len(bars), np.nan))


def known(bars: Bars, horizon: int) -> Iterator[tuple[int, int | None]]:
    """Each bar, and the earlier one whose outcome its close reveals."""
    place = {ts: at for at, ts in enumerate(bars.ts_open.tolist())}
    for at, ts in enumerate(bars.ts_open.tolist()):
        yield at, place.get(ts - horizon * bars.bar_ms)


def ours(bars: Bars, horizon: int) -> Side:
    """As the worker does: published at a bar's last tick, before that bar closes."""
    found = empty(bars)
    volatility = VolatilityForecast(bar_ms=bars.bar_ms, horizon_bars=horizon, start=1e-3)
    trackers = IntervalTrackers(levels=LEVELS, horizon_bars=horizon)
    outcome = bars.outcomes(horizon)
    for at, earlier in known(bars, horizon):
        ts_open, high, low = int(bars.ts_open[at]), float(bars.high[at]), float(bars.low[at])
        ahead = volatility.at(ts_open + bars.bar_ms - 1, high, low, math.inf)
        found.volatility[at] = ahead
        for level, below, above in returns_of(trackers.bounds, published=0.0, volatility=ahead):
            found.low[level][at], found.high[level][at] = below, above
        volatility.close(ts_open, high, low, float(bars.close[at]))
        if earlier is not None:
            trackers.take(
                float(outcome[earlier]),
                published=0.0,
                volatility=float(found.volatility[earlier]),
                intervals=[
                    (level, float(found.low[level][earlier]), float(found.high[level][earlier]))
                    for level in LEVELS
                ],
            )
    return found


def plain_aci(bars: Bars, horizon: int) -> Side:
    """Gibbs and Candes (2021): the level moves, the scores are absolute errors as they are."""
    found = empty(bars)
    outcome = bars.outcomes(horizon)
    scores: list[float] = []
    shares = {level: 1.0 - level for level in LEVELS}
    for at, earlier in known(bars, horizon):
        if earlier is not None and np.isfinite(outcome[earlier]):
            scores.append(abs(float(outcome[earlier])))
            for level in LEVELS:
                if np.isfinite(found.high[level][earlier]):
                    missed = scores[-1] > found.high[level][earlier]
                    shares[level] += ACI_STEP * (1.0 - level - missed)
        recent = scores[-ACI_BARS:]
        if len(recent) < DAY:
            continue
        for level in LEVELS:
            # Below 0 the set is all prices; as is usual, the largest score stands for it.
            width = np.quantile(recent, min(max(1.0 - shares[level], 0.0), 1.0))
            found.low[level][at], found.high[level][at] = -width, width
    return found


def garch(bars: Bars, horizon: int) -> Side:
    """GARCH(1,1), normal, no mean; the variance over the horizon by its own recursion."""
    from arch import arch_model

    found = empty(bars)
    returns = np.diff(bars.close, prepend=bars.close[0])
    scale = 1.0 / float(np.std(returns[:WARM_UP]))
    steps = np.arange(horizon)
    omega = alpha = beta = math.nan
    variance = 1.0
    for at in range(len(bars)):
        if at >= WARM_UP and (at - WARM_UP) % DAY == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = arch_model(returns[1 : at + 1] * scale, mean="Zero", rescale=False).fit(
                    disp="off"
                )
            omega, alpha, beta = (float(value) for value in fitted.params)
            variance = float(fitted.conditional_volatility[-1]) ** 2
        elif at >= WARM_UP:
            variance = omega + alpha * (returns[at - 1] * scale) ** 2 + beta * variance
        if at < WARM_UP:
            continue
        following = omega + alpha * (returns[at] * scale) ** 2 + beta * variance
        keep = alpha + beta
        sums = [
            omega * sum(keep**j for j in range(step)) + keep**step * following for step in steps
        ]
        ahead = math.sqrt(sum(sums)) / scale
        found.volatility[at] = ahead
        for level in LEVELS:
            width = NormalDist().inv_cdf((1.0 + level) / 2.0) * ahead
            found.low[level][at], found.high[level][at] = -width, width
    return found


SIDES: Final = {"ours": ours, "plain ACI": plain_aci, "GARCH(1,1) normal": garch}


def first_hours(bars: Bars) -> NDArray[np.bool_]:
    """The bars of a market's first hours after it was closed for a day or longer."""
    opened = bars.ts_open[bars.gaps() >= DAY]
    since = [bars.ts_open - ts for ts in opened]
    span = WEEKEND_HOURS * 3_600_000
    found: NDArray[np.bool_] = np.any([(item >= 0) & (item < span) for item in since], axis=0)
    return found if len(opened) else np.zeros(len(bars), dtype=np.bool_)


def standard_error(values: FloatArray, horizon: int, of: NDArray[np.bool_] | None = None) -> float:
    """Of the mean of a series in order of time, or of its mean where `of` is true."""
    if of is None:
        return math.sqrt(long_run_variance(values, 2 * horizon) / len(values))
    if not of.any():
        return math.nan
    off = np.where(of, values - values[of].mean(), 0.0) / of.mean()
    return math.sqrt(long_run_variance(off, 2 * horizon) / len(off))


@dataclass(frozen=True, slots=True)
class Months:
    """What the sides were worth on one month."""

    scores: dict[str, dict[float, tuple[IntervalScore, float, int]]]
    """By side and level: the score, the coverage over weekends' first hours, and of how many."""
    errors: dict[str, float]
    """The standard errors of ours at the level that is judged, by target."""


def month(bars: Bars, horizon: int) -> Months:
    """Score all sides on the same bars."""
    outcome = bars.outcomes(horizon)
    made = {name: side(bars, horizon) for name, side in SIDES.items()}
    scored = np.isfinite(outcome) & (np.arange(len(bars)) >= WARM_UP)
    for side in made.values():
        scored &= np.isfinite(side.low[JUDGED])
    volatility = made["ours"].volatility[scored]
    monday, came = first_hours(bars)[scored], outcome[scored]
    scores: dict[str, dict[float, tuple[IntervalScore, float, int]]] = {}
    lost: dict[str, FloatArray] = {}
    held: dict[str, FloatArray] = {}
    for name, side in made.items():
        for level in LEVELS:
            low, high = side.low[level][scored], side.high[level][scored]
            inside = (low <= came) & (came <= high)
            score = interval_score(level, low, high, came, volatility)
            weekend = float(inside[monday].mean()) if monday.any() else math.nan
            scores.setdefault(name, {})[level] = (score, weekend, int(monday.sum()))
            if level == JUDGED:
                lost[name], held[name] = winkler(level, low, high, came), inside.astype(float)
    volatile = volatility >= np.quantile(volatility, 1.0 - VOLATILE)
    errors = {
        "coverage": standard_error(held["ours"], horizon),
        "volatile fifth": standard_error(held["ours"], horizon, volatile),
        "weekends' first hours": standard_error(held["ours"], horizon, monday),
    }
    for key, other in (("winkler / ACI", "plain ACI"), ("winkler / GARCH", "GARCH(1,1) normal")):
        # A ratio of two means, by its linear part (the delta method).
        ratio = lost["ours"].mean() / lost[other].mean()
        beyond = lost["ours"] - ratio * lost[other]
        errors[key] = standard_error(beyond, horizon) / float(lost[other].mean())
    return Months(scores, errors)


def after_step(bars: Bars, horizon: int, runs: int) -> tuple[list[float], list[float], int | None]:
    """Coverage by twelve bars after a step of the volatility, over many steps, with its standard
    error; and when it is back.

    Back: from that bar on, the coverage of twelve bars over all steps is not more than 4.5 points
    below the level again, for the first time.
    """
    inside = []
    places = np.linspace(STEP_WARM_UP, len(bars) - AFTER - horizon - 1, runs).astype(int)
    for at in places.tolist():
        part = bars.part(at - STEP_WARM_UP, at + AFTER + horizon + 1)
        stepped = part.with_step(STEP_WARM_UP, STEP)
        side, outcome = ours(stepped, horizon), stepped.outcomes(horizon)
        these = slice(STEP_WARM_UP, STEP_WARM_UP + AFTER)
        came = outcome[these]
        held = (side.low[JUDGED][these] <= came) & (came <= side.high[JUDGED][these])
        inside.append(np.where(np.isfinite(came), held, np.nan))
    by_bar = np.nanmean(np.array(inside), axis=0)
    blocks = by_bar.reshape(-1, BLOCK).mean(axis=1)
    back = np.flatnonzero(blocks >= JUDGED - TARGETS["worst 288"])
    each = np.nanmean(np.array(inside).reshape(runs, -1, BLOCK), axis=2)
    errors = np.nanstd(each, axis=0) / math.sqrt(runs)
    return blocks.tolist(), errors.tolist(), int(back[0]) * BLOCK if len(back) else None


def exact(horizon: int, bars: int, runs: int) -> FloatArray:
    """How far from 0.9 the worst 288 in a row are when each interval is exactly right; by run.

    A Gaussian random walk with its own known deviation: no method can know more.
    """
    random = np.random.default_rng(1)
    width = NormalDist().inv_cdf((1.0 + JUDGED) / 2.0) * math.sqrt(horizon)
    worst = []
    for _ in range(runs):
        walk = np.cumsum(random.standard_normal(bars + horizon))
        inside = np.abs(walk[horizon:] - walk[:-horizon]) <= width
        worst.append(abs(worst_coverage(inside, JUDGED) - JUDGED))
    return np.array(worst)


def score_table(
    title: str, found: dict[str, dict[float, tuple[IntervalScore, float, int]]]
) -> Table:
    table = Table(title=title, title_justify="left")
    for name in (
        "",
        "level",
        "coverage",
        "worst 288",
        "volatile fifth",
        "weekends",
        "width, bp",
        "Winkler, bp",
    ):
        table.add_column(name, justify="right")
    for name, levels in found.items():
        for level, (score, weekend, hours) in levels.items():
            table.add_row(
                name,
                f"{level:g}",
                f"{score.coverage:.4f}",
                f"{score.coverage_worst_288:.3f}",
                f"{score.coverage_volatile:.3f}",
                f"{weekend:.3f} of {hours}" if hours else "-",
                f"{score.width * 1e4:.2f}",
                f"{score.winkler * 1e4:.2f}",
            )
    return table


def main() -> None:
    chosen, given = options(__doc__, add=second)
    settings = plain_settings()
    steps = 8 if chosen.quick else 80
    shown: list[Any] = []
    results: dict[str, Any] = {"targets": TARGETS, "warm_up_bars": WARM_UP}
    for path in (chosen.data, given.second):
        bars = Bars.of(month_pipeline(path, settings).window.columns(), settings.bar_ms)
        for horizon in HORIZONS:
            name = f"{path.name}, {horizon} bars ahead"
            with progress() as bar:
                task = bar.add_task(name, total=3)
                scored = month(bars, horizon)
                bar.advance(task)
                blocks, about, back = after_step(bars, horizon, steps)
                bar.advance(task)
                best = exact(horizon, len(bars), EXACT_RUNS)
                bar.advance(task)
            found = scored.scores
            off = abs(found["ours"][JUDGED][0].coverage_worst_288 - JUDGED)
            as_far, within = (
                float(np.mean(each)) for each in (best >= off, best <= TARGETS["worst 288"])
            )
            own = found["ours"][JUDGED][0].winkler
            ratio = {other: own / found[other][JUDGED][0].winkler for other in (*SIDES,)[1:]}
            shown += [
                score_table(f"{name} ({len(bars):,} bars)", found),
                f"Winkler at {JUDGED:g}, ours over the others': "
                + ", ".join(f"{other} {value:.3f}" for other, value in ratio.items())
                + f". After a step by {STEP:g} back within {back} bars; coverage by {BLOCK} bars: "
                + " ".join(f"{value:.2f}" for value in blocks)
                + f". Exact intervals of a random walk: worst 288 off by {np.median(best):.3f}, "
                + f"in {100 * as_far:.0f} % of months as far as ours, in {100 * within:.0f} % "
                + "within the target. Standard errors of ours: "
                + ", ".join(f"{key} {value:.3f}" for key, value in scored.errors.items())
                + f"; after a step {max(about):.3f}.\n",
            ]
            results[name] = {
                "bars": len(bars),
                "scores": {
                    side: {
                        str(level): asdict(score) | {"weekends": weekend, "weekend_bars": hours}
                        for level, (score, weekend, hours) in levels.items()
                    }
                    for side, levels in found.items()
                },
                "winkler_over": ratio,
                "back_after_bars": back,
                "coverage_after_step": blocks,
                "standard_errors": scored.errors | {"coverage_after_step": about},
                "worst_288_of_exact_intervals": {
                    "off_by": float(np.median(best)),
                    "share_as_far_as_ours": as_far,
                    "share_within_target": within,
                },
            }
    show(*shown)
    save(chosen, results)


if __name__ == "__main__":
    main()
