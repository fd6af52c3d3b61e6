"""Weights that follow the members' recent errors, against the owner's.

The members' forecasts are those of `stream-app backtest`, retrained daily, as they enter the mean:
after their own shrinkage. Each rule takes another mean of them, the product's rule for the ensemble
is applied to that mean, and the result, without bias correction, is scored on the second half of
each month. A weight uses the outcomes that a worker would know: those of the closed bars.

m is a member's mean squared error, recent outcomes more (half-life a day of bars, or 24 horizons):

* half: half the owner's weight, and half 1 / m over the sum of them (Bates, Granger 1969; Stock,
  Watson 2004).
* times: the owner's weight times 1 / m, over the sum of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from accuracy import HORIZONS
from harness import console, options, save, second, show
from moments import KEPT, LATENCY_MS, SYMBOL, default_settings
from numpy.typing import NDArray
from rich.table import Table

from stream_app.clock import DAY_MS
from stream_app.feed.files import read_ticks
from stream_app.offline.backtest import run_backtest
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.gating import Gate, VerdictCache
from stream_app.offline.recording import Recording
from stream_app.offline.series import FloatArray, Series
from stream_app.offline.training_cache import TrainingCache
from stream_app.offline.window_cache import WindowCache
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.shrinkage import EnsembleShrinkage
from stream_app.scoring.chance import least_outcomes, recent_outcomes
from stream_app.scoring.diebold_mariano import diebold_mariano
from stream_app.scoring.skill import skill
from stream_app.terminal.steps import StepsView
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import model_settings

STEPS: Final = {
    "bars": "making the bars",
    "kalman": "fitting the Kalman filter's noise",
    "filter": "running the filter",
    "train": "training the other models",
    "gate": "judging the models",
    "predict": "predicting",
}

Rule = Callable[[FloatArray, FloatArray], FloatArray]
"""From the owner's weights and the members' mean squared errors."""


def owners(owner: FloatArray, _: FloatArray) -> FloatArray:
    """The owner's weights, as they are."""
    return owner


def half(owner: FloatArray, errors: FloatArray) -> FloatArray:
    """The mean of the owner's weights and of those by the inverse errors."""
    inverse = 1.0 / errors
    mean: FloatArray = (owner + inverse / inverse.sum()) / 2
    return mean


def times(owner: FloatArray, errors: FloatArray) -> FloatArray:
    """The owner's weights by the inverse errors."""
    scaled: FloatArray = owner / errors / (owner / errors).sum()
    return scaled


RULES: Final[dict[str, Rule]] = {
    "owner": owners,
    "half": half,
    "times": times,
}


def closes(file: Path, horizon_bars: int, pool: TrainingPool) -> Series:
    """The members' forecasts at all closes of a file, by the product's backtest."""
    settings = default_settings(horizon_bars=horizon_bars)
    with StepsView(STEPS, runs=1, console=console) as view:
        found = run_backtest(
            Recording.of([read_ticks(file, symbol=SYMBOL)]),
            BacktestSettings(
                prediction=PredictionSettings.of(settings),
                models=model_settings(settings),
                retrain_every_ms=DAY_MS,
                processes=settings.retrain_processes,
                min_bars=settings.min_training_bars,
                latency_ms=LATENCY_MS,
            ),
            kept=TrainingCache(KEPT),
            windows=WindowCache(KEPT),
            train=pool.run_numbered,
            gate=Gate(kept=VerdictCache(KEPT), judge=pool.judge_numbered),
            watch=view,
        )
    return found.forecasts[SYMBOL].closes


def published(given: Series, rule: Rule, horizon_bars: int) -> FloatArray:
    """What would have been published with such weights; log returns, shape (N,)."""
    settings = default_settings(horizon_bars=horizon_bars)
    owner = np.array([*settings.ensemble_weights.values()])
    names = [*settings.ensemble_weights]
    members = np.array([given.shrinkage[name] * given.forecasts[name] for name in names]).T
    errors = np.square(given.outcome[:, np.newaxis] - members)
    factor = EnsembleShrinkage(horizon_bars=horizon_bars, memory_bars=settings.window_bars)
    keep = 0.5 ** (1 / recent_outcomes(horizon_bars))
    sums, means = np.zeros(len(names)), np.zeros(len(given))
    said = np.empty(len(given))
    known, horizon_ms = 0, horizon_bars * settings.bar_seconds * 1000
    for at, ts_open in enumerate(given.ts_open):
        while given.ts_open[known] + horizon_ms < ts_open:  # a bar that has closed by now
            sums = sums * keep + errors[known]
            factor.take(float(means[known]), float(given.outcome[known]))
            known += 1
        enough = known >= least_outcomes(horizon_bars) and (sums > 0).all()
        weights = rule(owner, sums) if enough else owner
        means[at] = weights @ members[at]
        said[at] = factor.factor * means[at]
    return said


def all_closes(files: Iterable[Path], *, quick: bool) -> Iterator[tuple[Path, int, Series]]:
    """Each file at each horizon, said as it is begun."""
    with TrainingPool(1) as pool:
        for file in files:
            for horizon in HORIZONS[:1] if quick else HORIZONS:
                console.print(f"{file.name}, {horizon} bars")
                yield file, horizon, closes(file, horizon, pool)


def second_half(series: Series) -> NDArray[np.bool_]:
    """Which forecasts are scored, shape (N,)."""
    scored: NDArray[np.bool_] = series.ts >= (series.ts[0] + series.ts[-1]) // 2
    return scored


def main() -> None:
    chosen, given = options(__doc__, add=second)
    rows: list[dict[str, Any]] = []
    table = Table(title="Published R2 in percent (t beside the owner's)", title_justify="left")
    for name in ("month", "bars ahead", *RULES):
        table.add_column(name)
    files = (chosen.data, given.second)
    for file, horizon, series in all_closes(files, quick=chosen.quick):
        scored = second_half(series)
        outcome = series.outcome[scored]
        said = {name: published(series, rule, horizon)[scored] for name, rule in RULES.items()}
        found = {}
        for name, each in said.items():
            worth = skill(each, outcome, horizon_bars=horizon)
            beside = diebold_mariano(outcome - each, outcome - said["owner"], horizon_bars=horizon)
            found[name] = {"r2": worth.mse_skill, "t": beside.t}
        rows.append({"month": file.name, "horizon_bars": horizon, "rules": found})
        table.add_row(
            file.name,
            str(horizon),
            *(
                f"{100 * each['r2']:+.4f}" + ("" if name == "owner" else f" ({each['t']:+.1f})")
                for name, each in found.items()
            ),
        )
        save(chosen, {"months": rows})
    show(table)


if __name__ == "__main__":
    main()
