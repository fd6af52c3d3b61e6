"""Small synthetic windows with a known law, and the settings to learn them with."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.models.base import History, ModelSettings, Rows, TrainingData
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import filtered
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.training.job import prepare

BAR_MS = 60_000
START_MS = 1_640_995_200_000
MODELS = tuple(CATALOG)
SETTINGS = ModelSettings(
    bar_ms=BAR_MS,
    horizon_bars=1,
    sequence_length=8,
    lstm_layers=(8, 4),
    lstm_batch_size=32,
    lstm_epochs=2,
    seed=7,
)


def bars_of(returns: NDArray[np.float64]) -> BarColumns:
    """Bars whose closes have these log returns; the Kalman columns as a worker would have them."""
    rng = np.random.default_rng(11)
    log_close = np.log(40_000.0) + np.cumsum(returns)
    opened = log_close - returns
    spread = np.abs(rng.normal(0, 2e-4, (2, len(returns))))
    ts_open = START_MS + BAR_MS * np.arange(len(returns), dtype=np.int64)
    ts_last = ts_open + BAR_MS - 1
    kalman = KalmanFilter()
    velocity, innovation = np.empty_like(returns), np.empty_like(returns)
    for i, (price, ts) in enumerate(zip(log_close.tolist(), ts_last.tolist(), strict=True)):
        kalman.update(price, ts, KalmanNoise(), BAR_MS)
        velocity[i], innovation[i] = kalman.velocity, kalman.innovation
    return BarColumns(
        ts_open=ts_open,
        ts_last=ts_last,
        log_close=log_close,
        log_high=np.maximum(opened, log_close) + spread[0],
        log_low=np.minimum(opened, log_close) - spread[1],
        kalman_velocity=velocity,
        kalman_innovation=innovation,
        log_jump=np.zeros_like(returns),
    )


def random_walk(count: int, seed: int = 1) -> BarColumns:
    """Nothing to learn."""
    return bars_of(np.random.default_rng(seed).normal(0, 1e-3, count))


def mean_reverting(count: int, seed: int = 2) -> BarColumns:
    """Each return takes back six tenths of the one before: AR(1)."""
    shocks = np.random.default_rng(seed).normal(0, 1e-3, count)
    returns = np.empty(count)
    returns[0] = shocks[0]
    for i in range(1, count):
        returns[i] = -0.6 * returns[i - 1] + shocks[i]
    return bars_of(returns)


def trending(count: int, seed: int = 3) -> BarColumns:
    """A drift that wanders slowly, larger than the noise around it."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, 2e-4, count))
    return bars_of(drift + rng.normal(0, 5e-4, count))


def head(bars: BarColumns, count: int) -> BarColumns:
    fields = dataclasses.fields(bars)
    return BarColumns(**{field.name: getattr(bars, field.name)[:count] for field in fields})


@functools.cache
def walk_data() -> TrainingData:
    return prepare(random_walk(400), SETTINGS)


def live_rows(count: int, histories: int = 3) -> Rows:
    """Ticks of a few forming bars, out of order, several to a bar and no two alike."""
    data = walk_data()
    rng = np.random.default_rng(5)
    ends = data.rows[-histories:]
    index = rng.integers(0, histories, count)
    noise = rng.normal(1, 0.05, (count, data.features.shape[1])).astype(np.float32)
    level, velocity = filtered(data.bars, KalmanNoise(), BAR_MS)
    before = SETTINGS.sequence_length - 1
    return Rows(
        log_price=data.bars.log_close[ends[index]] + rng.normal(0, 1e-4, count),
        kalman_level=level[ends[index]],
        kalman_velocity=velocity[ends[index]],
        features=data.features[ends[index]] * noise,
        histories=[History(data.features[end - before : end]) for end in ends.tolist()],
        history_index=index,
    )


def young_rows(count: int) -> Rows:
    """Ticks of a window that has too few bars for features."""
    return dataclasses.replace(
        live_rows(count),
        features=None,
        histories=(),
        history_index=np.zeros(count, dtype=np.int64),
    )


def taken(rows: Rows, order: NDArray[np.int64]) -> Rows:
    """Those ticks of a batch, in that order."""
    assert rows.features is not None
    return Rows(
        log_price=rows.log_price[order],
        kalman_level=rows.kalman_level[order],
        kalman_velocity=rows.kalman_velocity[order],
        features=rows.features[order],
        histories=rows.histories,
        history_index=rows.history_index[order],
    )
