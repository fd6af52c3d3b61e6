"""Common alternatives compared with the published price: R2 against the last price.

On two months of bars, scored at the closes of the second half, 1, 3 and 12 bars ahead. Daily models
are trained on all earlier bars, in the windows of the product; online models learn from each
outcome once it is known. All have their libraries' default settings: nothing here is tuned on the
results. The forest is scikit-learn-intelex's if that is installed, as the product's is. The
product's figures are those of `stream-app backtest`, as in `accuracy.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from accuracy import backtest, skill_table
from harness import console, options, progress, save, second, show
from moments import LAST, FloatArray, Month, Retrain, default_settings, month
from numpy.typing import NDArray
from plain import Fitted, boosting, forest, lstm
from rich.table import Table
from river.linear_model import BayesianLinearRegression
from river.preprocessing import StandardScaler, TargetStandardScaler
from river.time_series import HoltWinters
from statsmodels.tsa.ar_model import ar_select_order

from stream_app.bars.features import LOOKBACK
from stream_app.models.base import TrainingData
from stream_app.models.random_forest import forest_class
from stream_app.scoring.skill import Skill, skill
from stream_app.training.settings import model_settings

HORIZONS: Final = (1, 3, 12)
SEED: Final = 7
MOST_LAGS: Final = 12
"""Among which the autoregression's order is chosen, by AIC."""
LEVEL: Final = 0.3
TREND: Final = 0.1
"""Of exponential smoothing: the values of river's own example."""
PUBLISHED: Final = "stream-app, published"
ENSEMBLE: Final = "stream-app, before shrinkage"
Forecaster = Callable[[Month, int], FloatArray]
"""From a month and a horizon in bars to log returns at each close, shape (N,), NaN where none."""


def served(given: Month) -> Iterator[tuple[Retrain, slice]]:
    """Each daily window, and the bars that close while what was learned from it serves."""
    with progress() as shown:
        for retrain, start, end in shown.track(given.served()):
            first, last = np.searchsorted(given.ts[LAST], [start, end])
            if first < last:
                yield retrain, slice(first, last)


def smoothing(given: Month, horizon_bars: int) -> FloatArray:
    """Exponential smoothing with a trend (Holt 1957), on log prices."""
    model: Any = HoltWinters(alpha=LEVEL, beta=TREND)  # type: ignore[no-untyped-call]
    found = np.full(len(given), np.nan)
    for at, log_close in enumerate(given.bars.log_close.tolist()):
        model.learn_one(log_close)
        if at > 0:
            found[at] = model.forecast(horizon_bars)[-1] - log_close
    return found


def autoregression(given: Month, horizon_bars: int) -> FloatArray:
    """AR(p) of the returns, p by AIC; further ahead it is iterated and summed."""
    step = np.diff(given.bars.log_close, prepend=given.bars.log_close[0])
    found = np.full(len(given), np.nan)
    for retrain, bars in served(given):
        chosen = ar_select_order(step[retrain.first + 1 : retrain.end], MOST_LAGS, ic="aic")
        constant, *slopes = chosen.model.fit().params
        past = [step[bars.start - lag : bars.stop - lag] for lag in range(MOST_LAGS)]
        lags = chosen.ar_lags or ()
        total = np.zeros(bars.stop - bars.start)
        for _ in range(horizon_bars):
            ahead = np.full_like(total, constant)
            ahead += sum(slope * past[lag - 1] for lag, slope in zip(lags, slopes, strict=True))
            total += ahead
            past = [ahead, *past[:-1]]
        found[bars] = total
    return found


def online(given: Month, horizon_bars: int) -> FloatArray:
    """Bayesian linear regression on the product's features, all standardised."""
    model = StandardScaler() | TargetStandardScaler(BayesianLinearRegression())
    waits: deque[tuple[int, dict[int, float]]] = deque()
    outcome = given.closes(horizon_bars)
    found = np.full(len(given), np.nan)
    for at, row in enumerate(given.features[LAST]):
        while waits and waits[0][0] + horizon_bars <= at:
            then, seen = waits.popleft()
            if np.isfinite(outcome[then]):
                model.learn_one(seen, float(outcome[then]))
        if np.isfinite(row).all():
            seen = dict(enumerate(row.tolist()))
            found[at] = model.predict_one(seen)
            waits.append((at, seen))
    return found


def plain(fit: Callable[[TrainingData, NDArray[np.int64], int], Fitted]) -> Forecaster:
    """A model of `plain.py`, on the product's features."""

    def forecast(given: Month, horizon_bars: int) -> FloatArray:
        data = everything(given, horizon_bars)
        earliest = LOOKBACK + model_settings(default_settings()).sequence_length
        found = np.full(len(given), np.nan)
        for retrain, bars in served(given):
            newest = given.bars.ts_open[retrain.end - 1] - horizon_bars * given.bar_ms
            rows = data.rows[(data.rows >= retrain.first + earliest) & (data.rows < retrain.end)]
            rows = rows[given.bars.ts_open[rows] <= newest]
            found[bars] = fit(data, rows, SEED)(np.arange(bars.start, bars.stop))
        return found

    return forecast


def everything(given: Month, horizon_bars: int) -> TrainingData:
    """All closes of a month; whoever learns takes the rows that are known by then."""
    target = given.closes(horizon_bars)
    features = given.features[LAST]
    usable = np.isfinite(target) & np.isfinite(features).all(axis=1)
    return TrainingData(
        bars=given.bars,
        log_price=given.bars.log_close,
        features=np.nan_to_num(features),
        target=np.nan_to_num(target).astype(np.float32),
        rows=np.flatnonzero(usable),
    )


ALTERNATIVES: Final[dict[str, Forecaster]] = {
    "exponential smoothing with a trend (river)": smoothing,
    "AR(p) by AIC, daily (statsmodels)": autoregression,
    "Bayesian linear regression, online (river)": online,
    "random forest, daily (scikit-learn)": plain(partial(forest, kind=forest_class())),
    "LightGBM, daily": plain(boosting),
    "LSTM [32,16], daily (torch)": plain(lstm),
}


def scored(given: Month, forecast: NDArray[np.float64], horizon_bars: int) -> Skill:
    """Over the closes of the second half whose outcome is known."""
    outcome = given.closes(horizon_bars)
    there = (given.ts[LAST] >= given.middle) & np.isfinite(outcome) & np.isfinite(forecast)
    return skill(forecast[there], outcome[there], horizon_bars=horizon_bars)


def row(n: int, r2: float, mae_skill: float, cw_t: float | None) -> dict[str, Any]:
    """What is kept of a forecaster."""
    return {"n": n, "mse_skill": r2, "mae_skill": mae_skill, "cw_t": cw_t}


def table(name: str, found: dict[str, dict[int, dict[str, Any]]]) -> Table:
    """A row a forecaster, a column a horizon."""
    counts = {horizon: each["n"] for horizon, each in found[PUBLISHED].items()}
    return skill_table(name, counts, {who: [*each.values()] for who, each in found.items()})


def main() -> None:
    chosen, given = options(__doc__, add=second)
    torch.set_num_threads(1)  # several wait for each other in so small a network
    horizons = HORIZONS[:1] if chosen.quick else HORIZONS
    results = {}
    for file in (chosen.data, given.second):
        here = month(file, settings=default_settings())
        found: dict[str, dict[int, dict[str, Any]]] = {PUBLISHED: {}, ENSEMBLE: {}}
        for horizon, said in backtest(file, horizons, None):
            for who, key in ((PUBLISHED, "published"), (ENSEMBLE, "ensemble")):
                one = said[key]
                found[who][horizon] = row(
                    said["n"], one["mse_skill"], one["mae_skill"], one["cw_t"]
                )
        for who, forecaster in ALTERNATIVES.items():
            found[who] = {}
            for horizon in horizons:
                console.print(f"{here.name}, {who}, {horizon} bars", highlight=False)
                worth = scored(here, forecaster(here, horizon), horizon)
                found[who][horizon] = row(worth.n, worth.mse_skill, worth.mae_skill, worth.cw_t)
        show(table(here.name, found))
        results[here.name] = found
        save(chosen, results)


if __name__ == "__main__":
    main()
