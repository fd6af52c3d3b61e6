"""The drift detectors on synthetic series and two months: false alarms, and the delay of true ones.

Synthetic bars pass through the worker's own volatility forecast and Kalman filter, and their scores
through the detectors of `stream-app drift`. While nothing changes, every alarm is false: normal
returns, Student's t with 4 degrees of freedom, and GARCH(1,1) with the parameters 0.05 and 0.93.
Then, at a bar, the volatility grows by a factor, or the errors alone do, which no volatility
forecast explains. For comparison there are a detector that always fires, one that fires at random
at the wanted rate, and one that never does. On the two months the true changes are unknown; they
show how many alarms to expect, and how many there would be from errors and innovations that are not
divided by the volatility.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from harness import console, options, progress, save, second, show
from numpy.typing import NDArray
from prices import CHUNK, month_ticks, plain_settings
from rich.table import Table

from stream_app.drift.watch import DriftWatch
from stream_app.messages.schemas import Drift, Score, Source
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.offline.walk import as_records
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.volatility import VolatilityForecast

BAR_MS: Final = 300_000
DAY_BARS: Final = 288
DAYS: Final = (10.0, 30.0, 90.0)
JUDGED: Final = 30.0
KINDS: Final = ("normal", "t4", "garch")
FACTORS: Final = (2.0, 3.0)
DEVIATION: Final = 1e-3
TICKS: Final = 4
"""In a bar, each of four steps."""
STEPS: Final = 4
MONTHS: Final = 24
TRIALS: Final = 25
BEFORE: Final = 3000
"""Bars before a change."""
SOURCE: Final = Source(topic="", partition=0, offset=0)


def deviations(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of the return of each bar, with a mean square of DEVIATION squared."""
    if kind == "normal":
        return np.full(count, DEVIATION)
    if kind == "t4":
        return DEVIATION * np.sqrt(2.0 / rng.chisquare(4, size=count))
    out, square = np.empty(count), 1.0
    for number, shock in enumerate(rng.normal(size=count).tolist()):
        out[number] = math.sqrt(square)
        square = 0.02 + (0.05 * shock * shock + 0.93) * square
    return DEVIATION * out


def made(
    kind: str, count: int, seed: int, *, changed: int | None = None, factor: float = 1.0
) -> list[Score]:
    """The scores of forecasts of the last price, one bar ahead."""
    rng = np.random.default_rng(seed)
    scale = deviations(kind, count, rng)
    if changed is not None:
        scale[changed:] *= factor
    steps = rng.normal(size=(count, TICKS * STEPS)) * scale[:, None] / math.sqrt(TICKS * STEPS)
    prices = np.cumsum(steps).reshape(count, -1)
    highs, lows = prices.max(axis=1).tolist(), prices.min(axis=1).tolist()
    forecast = VolatilityForecast(bar_ms=BAR_MS, horizon_bars=1, start=DEVIATION)
    kalman, noise = KalmanFilter(), KalmanNoise()
    scores: list[Score] = []
    volatility, before = DEVIATION, 0.0
    for number, ticks in enumerate(prices[:, STEPS - 1 :: STEPS].tolist()):
        ts_open = number * BAR_MS
        for at, price in enumerate(ticks, 1):
            kalman.update(price, ts_open + at * BAR_MS // TICKS - 1, noise, bar_ms=BAR_MS)
        close = ticks[-1]
        scores.append(
            scored(ts_open - BAR_MS, close - before, volatility, innovation=kalman.innovation)
        )
        high, low = max(highs[number], before), min(lows[number], before)
        volatility = forecast.at(ts_open + BAR_MS - 1, high, low, math.inf)
        forecast.close(ts_open, highs[number], lows[number], close)
        before = close
    return scores[1:]


def scored(ts_open: int, error: float, volatility: float, *, innovation: float) -> Score:
    return Score(
        symbol="A",
        ts_open=ts_open,
        ts_target=ts_open + BAR_MS,
        horizon_s=BAR_MS // 1000,
        last_price=1.0,
        outcome=1.0,
        errors={"published": error},
        shrinkage={},
        inside={},
        coverage={},
        running={},
        harm=1.0,
        source=SOURCE,
        volatility=volatility,
        innovation=innovation,
    )


def alarms(scores: Iterable[Score], days: float) -> list[Drift]:
    watch = DriftWatch(days)
    return [alarm for each in scores for alarm in watch.take(each, SOURCE)]


def counted(found: Sequence[Drift], bars: int) -> dict[str, float]:
    """Alarms in 30 days, by detector and input, and the mean days between those of the symbol."""
    days = bars / DAY_BARS
    by = Counter(f"{alarm.detector}, {alarm.input}" for alarm in found)
    return {
        "alarms": float(len(found)),
        "days between": days / len(found) if found else math.inf,
        **{name: 30.0 * count / days for name, count in sorted(by.items())},
    }


def errors_alone(scores: list[Score], changed: int, factor: float) -> list[Score]:
    """The same, but from a bar on the errors are larger, and nothing else is."""
    return scores[:changed] + [
        replace(each, errors={"published": factor * each.errors["published"]})
        for each in scores[changed:]
    ]


def delays(kind: str, what: str, factor: float, trials: int) -> dict[str, float]:
    """The share of changes that are found within a day, and after how many bars on average."""
    found: list[int] = []
    for seed in range(trials):
        changed = BEFORE + 7 * seed
        count = changed + DAY_BARS
        if what == "volatility":
            scores = made(kind, count, seed, changed=changed, factor=factor)
        else:
            scores = errors_alone(made(kind, count, seed), changed - 1, factor)
        since = [alarm.ts // BAR_MS - changed + 1 for alarm in alarms(scores, JUDGED)]
        found += [each for each in since if each >= 1][:1]
    return {
        "found": len(found) / trials,
        "bars, median": float(np.median(found)) if found else math.nan,
    }


def knowing_nothing() -> dict[str, dict[str, float]]:
    """What needs no measurement."""
    bars = JUDGED * DAY_BARS
    within = 1.0 - math.exp(-1.0 / JUDGED)
    at = -bars * math.log(1.0 - within / 2.0)
    return {
        "always": {"days between": 1.0 / DAY_BARS, "found": 1.0, "bars, median": 1.0},
        "at random": {"days between": JUDGED, "found": within, "bars, median": at},
        "never": {"days between": math.inf, "found": 0.0, "bars, median": math.nan},
    }


def month_scores(file: Path) -> list[Score]:
    """Of a month, by the Kalman filter alone, whose published forecasts are near the last price."""
    pipeline = PartitionPipeline(PredictionSettings.of(plain_settings()))
    records = list(as_records(month_ticks(file)))
    return [
        score
        for start in range(0, len(records), CHUNK)
        for score in pipeline.process(records[start : start + CHUNK]).scores
    ]


def of_months(files: Sequence[Path]) -> dict[str, dict[str, dict[str, float]]]:
    found = {}
    for file in files:
        scores = month_scores(file)
        undivided = [replace(each, volatility=DEVIATION) for each in scores]
        found[file.name] = {
            "over the volatility forecast": counted(alarms(scores, JUDGED), len(scores)),
            "as they are": counted(alarms(undivided, JUDGED), len(scores)),
        }
    return found


def known(part: Any) -> Any:
    """Without what is no number: JSON has neither infinity nor NaN."""
    if isinstance(part, dict):
        return {name: known(value) for name, value in part.items()}
    return part if math.isfinite(part) else None


def table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    out = Table("", *columns, title=title)
    for name, row in rows.items():
        out.add_row(name, *(f"{row[key]:.3g}" if key in row else "" for key in columns))
    return out


def main() -> None:
    chosen, given = options(__doc__, add=second)
    months, trials = (6, 10) if chosen.quick else (MONTHS, TRIALS)
    false: dict[str, dict[str, float]] = {}
    true: dict[str, dict[str, float]] = {}
    with progress() as shown:
        task = shown.add_task("", total=len(KINDS) * (1 + 2 * len(FACTORS)))
        for kind in KINDS:
            shown.update(task, description=f"{kind}: nothing changes")
            scores = made(kind, months * 30 * DAY_BARS, seed=1)
            for days in DAYS:
                found = counted(alarms(scores, days), len(scores))
                false[f"{kind}, wanted {days:g} days"] = found
            shown.advance(task)
            for what in ("volatility", "errors alone"):
                for factor in FACTORS:
                    shown.update(task, description=f"{kind}: {what} x {factor:g}")
                    true[f"{kind}: {what} x {factor:g}"] = delays(kind, what, factor, trials)
                    shown.advance(task)
    console.print("two months")
    real = of_months((chosen.data, given.second))
    result: dict[str, Any] = {
        "false_alarms": false,
        "found_within_a_day": true,
        "knowing_nothing": knowing_nothing(),
        "months": real,
    }
    save(chosen, known(result))
    show(
        table("Alarms while nothing changes", false),
        table(f"Found within a day, set to {JUDGED:g} days", true | knowing_nothing()),
        *(table(name, rows) for name, rows in real.items()),
    )


if __name__ == "__main__":
    main()
