"""A real month of minutes with a mistaken price in it: what it costs, and for how long."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.messages.arrivals import arrived
from stream_app.messages.schemas import Prediction, Tick
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.model_set import ModelSet
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings, load_settings
from stream_app.training.job import TrainingJob, run_job
from stream_app.training.settings import model_settings

DATA = Path(
    os.environ.get("STREAM_APP_DATA")
    or Path(__file__).parents[2].parent / "shared/data/btc-perp-1m-2022-01.csv.gz"
)
MONTH = DATA.with_name("gbpusd-m1-bid-2012-02.csv.gz")
BARS, FIRST_TRAINING, ACCIDENT, SECOND_TRAINING = 6000, 2500, 3000, 4500
SETTLED = 60
"""Bars after the accident from which on it may cost nothing."""

pytestmark = [
    pytest.mark.data,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not MONTH.is_file(), reason=f"no month of prices at {MONTH}"),
]


def settings() -> Settings:
    return load_settings(
        bar_seconds=60, horizon_bars=1, training_window_days=40, lstm_epochs=2, lstm_layers=(8,)
    )


@cache
def month() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Opening times in epoch ms, and open, high, low, close."""
    with gzip.open(MONTH, "rt") as lines:
        rows = list(csv.reader(lines))[1 : BARS + 1]
    times = [int(datetime.fromisoformat(row[0]).timestamp() * 1000) for row in rows]
    return np.array(times), np.array([row[1:5] for row in rows], dtype=np.float64)


def ticks(prices: NDArray[np.float64]) -> Iterator[Tick]:
    """The open when the bar begins, low, high and close in its last milliseconds."""
    for ts, (first, high, low, close) in zip(month()[0].tolist(), prices.tolist(), strict=True):
        for moment, price in (
            (ts, first),
            (ts + 59_997, low),
            (ts + 59_998, high),
            (ts + 59_999, close),
        ):
            yield Tick(symbol="GBPUSD", price=price, ts=moment)


def trained(bars: BarColumns) -> ModelSet:
    chosen = model_settings(settings())
    members = {}
    for name, spec in CATALOG.items():
        job = TrainingJob(symbol="GBPUSD", model=name, bars=bars, settings=chosen)
        members[name] = spec.load(run_job(job).artifact, chosen)
    kalman = members["kalman"]
    assert isinstance(kalman, KalmanMember)
    return ModelSet(
        version="v", trained_to_ts=int(bars.ts_last[-1]), members=members, noise=kalman.noise
    )


def run(prices: NDArray[np.float64]) -> list[Prediction]:
    """A worker's answers at the close of each bar, with a training before and one after."""
    chosen = PredictionSettings.of(settings())
    pipeline, ensemble = SymbolPipeline("GBPUSD", chosen), Ensemble.of(chosen)
    arrivals = [arrived(tick, offset) for offset, tick in enumerate(ticks(prices))]
    given: list[Prediction] = []
    for first in range(0, len(arrivals), 2000):
        if first in (4 * FIRST_TRAINING, 4 * SECOND_TRAINING):
            pipeline.models = trained(pipeline.window.columns())
        answer = answer_ticks([(pipeline, arrivals[first : first + 2000])], ensemble, chosen)
        given.extend(answer.predictions)
    return given[3::4]


def errors(given: list[Prediction], prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each bar's forecast, a log return; NaN where the next minute has no bar."""
    said = np.array([item.prediction for item in given])
    found = np.full(len(prices), np.nan)
    found[:-1] = np.abs(np.log(said[:-1] / prices[1:, 3]))
    found[:-1][np.diff(month()[0]) != 60_000] = np.nan
    return found


@cache
def clean() -> tuple[NDArray[np.float64], frozenset[str]]:
    given = run(month()[1])
    said = {reason for item in given[FIRST_TRAINING:] for reason in item.degraded}
    return errors(given, month()[1]), frozenset(said)


def test_clean_prices_have_nothing_that_is_not_believed() -> None:
    assert clean()[1] == frozenset()


@pytest.mark.parametrize("kind", ["one bar a hundred times too high", "a tenth from a bar on"])
def test_an_accident_costs_a_few_bars_before_and_after_a_retrain(kind: str) -> None:
    prices = month()[1].copy()
    if kind == "one bar a hundred times too high":
        prices[ACCIDENT] *= 100
    else:
        prices[ACCIDENT:] /= 10
    found = errors(run(prices), prices)
    for part in (slice(ACCIDENT + SETTLED, SECOND_TRAINING), slice(SECOND_TRAINING, BARS)):
        error, without = np.nanmean(found[part]), np.nanmean(clean()[0][part])
        assert error == pytest.approx(without, rel=0.01)
