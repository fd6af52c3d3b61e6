"""How soon a predictable return is found: by the trees, and by the best that the same bars allow.

Synthetic five-minute bars, AR(1) returns of which 1 % is predictable from the previous bar, and
random walks. All learn once a day from all earlier bars. A forecast is compared with the known
part, so that a few days are enough: R2 = (2 cov(forecast, known) - var(forecast)) / var(outcome).
Each is shown raw, and after the product's shrinkage by its own record.

* known: the predictable return of the synthetic prices; no learning is needed.
* one slope: least squares on the last return alone, so it knows where to look.
* the line: what the product's models begin with, without what they learn beyond it.
* random forest, LightGBM: the product's forecasters; `--quick` leaves them out. Also what is
  published with the weights of the catalogue, as if the LSTM had learned nothing beyond the line,
  and the Kalman filter always predicted the last price.

`--rounds` is the number of series of each kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from accuracy import KNOWN_R2, ar1
from harness import options, progress, save, show
from moments import FloatArray, default_settings
from numpy.typing import NDArray
from rich.table import Table

from stream_app.bars.features import BarColumns
from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.catalog import CATALOG, LIGHTGBM, LSTM, RANDOM_FOREST
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.models.line import fit_line
from stream_app.prediction.shrinkage import EnsembleShrinkage, MemberShrinkage
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings

A_DAY: Final = 288
DAYS: Final = 15
STRETCHES: Final = {"days 2 to 5": (1, 5), "6 to 10": (5, 10), "11 to 15": (10, 15)}
WORLDS: Final = {"AR(1), R2 1 %": KNOWN_R2**0.5, "random walk": 0.0}
TREES: Final = (RANDOM_FOREST, LIGHTGBM)
LINE: Final = "the line"
Learn = Callable[[TrainingData], Callable[[TrainingData, NDArray[np.int64]], FloatArray]]
"""From what is learned from to what is said at rows."""


def made_bars(returns: FloatArray, rng: np.random.Generator, bar_ms: int) -> BarColumns:
    """Bars with these returns; highs and lows are those of five prices on the way."""
    count = len(returns)
    close = np.log(100.0) + np.cumsum(returns)
    opened = close - returns
    way = opened[:, None] + returns[:, None] * np.linspace(0, 1, 5)
    way[:, :4] += rng.normal(0, 2e-4, (count, 4))
    way[:, 0] = opened
    ts_open = bar_ms * np.arange(1_000_000, 1_000_000 + count)
    kalman, noise = KalmanFilter(), KalmanNoise()
    states = np.empty((2, count))
    for at, (price, ts) in enumerate(zip(close.tolist(), ts_open.tolist(), strict=True)):
        kalman.update(price, ts + bar_ms - 1, noise, bar_ms)
        states[:, at] = kalman.velocity, kalman.innovation
    return BarColumns(
        ts_open=ts_open,
        ts_last=ts_open + bar_ms - 1,
        log_close=close,
        log_high=way.max(axis=1),
        log_low=way.min(axis=1),
        kalman_velocity=states[0],
        kalman_innovation=states[1],
        log_jump=np.zeros(count),
    )


def one_slope(data: TrainingData) -> Callable[[TrainingData, NDArray[np.int64]], FloatArray]:
    """Least squares on the last return."""
    x, y = data.features[data.rows, 0].astype(np.float64), data.target[data.rows]
    slope = (x @ y) / (x @ x)
    return lambda given, rows: slope * given.features[rows, 0]


def the_line(data: TrainingData) -> Callable[[TrainingData, NDArray[np.int64]], FloatArray]:
    """The product's."""
    line = fit_line(data, horizon_bars=1)
    return lambda given, rows: line(given.features[rows])


def trees(name: str, models: ModelSettings) -> Learn:
    """The product's own."""

    def learn(data: TrainingData) -> Callable[[TrainingData, NDArray[np.int64]], FloatArray]:
        forecaster = CATALOG[name].new_forecaster()
        forecaster.fit(data, models)
        return forecaster.predict

    return learn


def daily(whole: TrainingData, learn: Learn) -> FloatArray:
    """What is said at each bar, learned again each day from the bars before; 0 on the first day."""
    said = np.zeros(len(whole.bars))
    for day in range(1, DAYS):
        cut = day * A_DAY
        known = TrainingData(
            bars=whole.bars.head(cut),
            log_price=whole.log_price[:cut],
            features=whole.features[:cut],
            target=whole.target[:cut],
            rows=whole.rows[whole.rows < cut - 1],
        )
        rows = np.arange(cut, min(cut + A_DAY, len(said)))
        said[rows] = learn(known)(whole, rows)
    return said


def shrunk(
    said: Mapping[str, FloatArray], weights: Mapping[str, float], outcome: FloatArray
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Each after its own factor, and their weighted mean after the ensemble's."""
    memory = 30 * A_DAY
    members = {name: MemberShrinkage(horizon_bars=1, memory_bars=memory) for name in said}
    ensemble = EnsembleShrinkage(horizon_bars=1, memory_bars=memory)
    after = {name: np.zeros(len(outcome)) for name in said}
    published = np.zeros(len(outcome))
    for at in range(A_DAY, len(outcome)):
        for name, each in said.items():
            after[name][at] = members[name].factor * each[at]
            members[name].take(float(each[at]), float(outcome[at]))
        mean = sum(weight * after[name][at] for name, weight in weights.items())
        published[at] = ensemble.factor * mean
        ensemble.take(float(mean), float(outcome[at]))
    return after, published


def measured(
    correlation: float, seed: int, models: ModelSettings, names: Sequence[str]
) -> dict[str, list[float]]:
    """One series: R2 in percent by stretch, for each forecaster before and after shrinkage.

    Args:
        correlation: of each return with the last.
        seed: of the series.
        models: the product's settings.
        names: the members that learn.
    """
    rng = np.random.default_rng(seed)
    count = DAYS * A_DAY
    returns = np.array(list(itertools.islice(ar1(rng, correlation), count + 1)))
    whole = prepare(made_bars(returns, rng, models.bar_ms), models)
    known, outcome = correlation * returns[:count], returns[1:]
    said = {
        "known": known,
        "one slope": daily(whole, one_slope)[:count],
        LINE: daily(whole, the_line)[:count],
        **{name: daily(whole, trees(name, models))[:count] for name in names},
    }
    weights = {name: CATALOG[name].weight for name in names}
    after, published = shrunk(said, {**weights, LINE: CATALOG[LSTM].weight}, outcome)

    def worth(forecast: FloatArray) -> list[float]:
        gain = 2 * forecast * known - np.square(forecast)
        parts = (gain[first * A_DAY : end * A_DAY] for first, end in STRETCHES.values())
        return [100 * float(each.mean() / np.square(outcome).mean()) for each in parts]

    found = {}
    for name, each in said.items():
        found[name] = worth(each)
        found[f"{name}, shrunk"] = worth(after[name])
    if names:
        found["published"] = worth(published)
    return found


def summary(found: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, dict[str, list[float]]]:
    """The mean over the series in each stretch, with its standard error."""
    values = {name: np.array(each) for name, each in found.items()}
    return {
        name: {
            "mean": each.mean(axis=0).tolist(),
            "error": (each.std(axis=0) / np.sqrt(len(each))).tolist(),
        }
        for name, each in values.items()
    }


def table(title: str, found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    """A row a forecaster."""
    shown = Table(title=f"{title}: R2 in percent", title_justify="left")
    for name in ("", *STRETCHES):
        shown.add_column(name, justify="right" if name else "left")
    for name, each in found.items():
        cells = zip(each["mean"], each["error"], strict=True)
        shown.add_row(name, *(f"{mean:+.2f} ± {about:.2f}" for mean, about in cells))
    return shown


def main() -> None:
    chosen, _ = options(__doc__)
    models = model_settings(default_settings())
    names = () if chosen.quick else TREES
    results: dict[str, Any] = {"series": chosen.rounds}
    for title, correlation in WORLDS.items():
        found: dict[str, list[list[float]]] = {}
        with progress() as shown:
            for seed in shown.track(range(chosen.rounds), description=title):
                for name, each in measured(correlation, seed, models, names).items():
                    found.setdefault(name, []).append(each)
        worths = summary(found)
        show(table(title, worths))
        save(chosen, results := results | {title: worths})


if __name__ == "__main__":
    main()
