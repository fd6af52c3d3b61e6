"""One training job: bars in, a checked artifact out. Runs in a process of the pool.

It imports no Kafka: a pool process starts without it, and `stream-app train` runs the same jobs.
`holdout.py` measures the models that the jobs give.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.contexts import bar_vectors
from stream_app.bars.features import FEATURES, LOOKBACK, BarColumns
from stream_app.errors import TrainingError
from stream_app.models.base import History, Member, ModelSettings, Rows, TrainingData
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import filtered, noise_of
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.last_price import last_price_artifact
from stream_app.models.lstm import LSTMForecaster
from stream_app.models.lstm_weights import Weights
from stream_app.models.training_rows import check_rows

EXPORT_TOLERANCE: Final = 1e-5
"""Log return: how far a Member may be from the model it was exported from."""
CHECKED_ROWS: Final = 256
PIECE: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """Train one model for one symbol. Picklable: it is sent to a pool process."""

    symbol: str
    model: str
    """A name of the catalog."""
    bars: BarColumns
    settings: ModelSettings
    start: Weights | None = None
    """Of an LSTM job: the weights to start from; None to train from scratch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """What a job gives back. Picklable."""

    name: str
    artifact: bytes
    seconds: float
    """Wall time of preparing, fitting, exporting and checking."""
    rows: int
    """How many rows it learned from."""
    data_to: int
    """Event time of the last tick of the bars that it was given, epoch ms."""
    last_price: str | None = None
    """Why the model could not be trained, so that the artifact answers the last price."""


def prepare(bars: BarColumns, settings: ModelSettings) -> TrainingData:
    """Compute the features, the targets, and the rows that have both.

    Args:
        bars: N bars by increasing `ts_open`; there may be gaps between them. Jumps of the price
            count as no return, and no target reaches over one.
        settings: horizon, length of a bar, sequence length.

    Raises:
        TrainingError: a value of the bars is not finite.
    """
    for name in ("log_close", "log_high", "log_low", "kalman_velocity", "kalman_innovation"):
        wrong = np.flatnonzero(~np.isfinite(getattr(bars, name)))
        if len(wrong):
            at = int(bars.ts_open[wrong[0]])
            raise TrainingError(f"the bar at {at} has a {name} that is not finite")
    quoted, jumps = bars.log_close, _jumps(bars)
    bars = bars.without_jumps()
    features = np.full((len(bars), FEATURES), np.nan, dtype=np.float32)
    features[LOOKBACK:] = bar_vectors(bars)
    target, rows = _targets(bars, jumps, settings)
    return TrainingData(bars=bars, log_price=quoted, features=features, target=target, rows=rows)


def price_moves(bars: BarColumns, settings: ModelSettings) -> bool:
    """Whether any return that a model would learn from differs from 0; True without returns.

    Takes a fraction of a millisecond: the worker asks before it gives a symbol to the pool.
    """
    target, rows = _targets(bars.without_jumps(), _jumps(bars), settings)
    return not len(rows) or bool(target[rows].any())


def row_count(bars: BarColumns, settings: ModelSettings) -> int:
    """How many rows a training on these bars would have."""
    return len(_targets(bars.without_jumps(), _jumps(bars), settings)[1])


def _jumps(bars: BarColumns) -> NDArray[np.int64]:
    """How many jumps there were up to each bar, itself included."""
    return np.cumsum(bars.log_jump != 0.0)


def _targets(
    bars: BarColumns, jumps: NDArray[np.int64], settings: ModelSettings
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The log return over the horizon of each bar, and the bars to learn from."""
    count = len(bars)
    target = np.full(count, np.nan, dtype=np.float32)
    known, at_horizon = _horizons(bars.ts_open, settings)
    same = jumps[at_horizon] == jumps[known]
    known, at_horizon = known[same], at_horizon[same]
    target[known] = bars.log_close[at_horizon] - bars.log_close[known]
    first = LOOKBACK + settings.sequence_length - 1
    return target, known[known >= first]


def _horizons(
    ts_open: NDArray[np.int64], settings: ModelSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bars whose horizon is known, and for each of them the bar at its horizon."""
    count, ahead = len(ts_open), settings.horizon_bars
    if settings.horizon_by == "bars":
        known = np.arange(max(0, count - ahead))
        return known, known + ahead
    wanted = ts_open + ahead * settings.bar_ms
    at_horizon = np.searchsorted(ts_open, wanted)
    known = np.flatnonzero(at_horizon < count)
    known = known[ts_open[at_horizon[known]] == wanted[known]]
    return known, at_horizon[known]


def run_job(job: TrainingJob) -> TrainedModel:
    """Train, export and check one model: the pool's entry point. Blocks for seconds.

    A model that finds nothing to learn in data that others can learn from gives an artifact that
    answers the last price.

    Raises:
        TrainingError: no model can learn from the data, the answers of this one are not finite,
            or the exported artifact answers otherwise than the trained model.
    """
    started = time.perf_counter()
    data = prepare(job.bars, job.settings)
    check_rows(data)
    spec = CATALOG[job.model]
    forecaster = spec.new_forecaster() if job.start is None else LSTMForecaster(job.start)
    try:
        forecaster.fit(data, job.settings)
    except TrainingError as error:
        return TrainedModel(
            name=job.model,
            artifact=last_price_artifact(job.model, spec.suffix, str(error), job.settings),
            seconds=time.perf_counter() - started,
            rows=len(data.rows),
            data_to=int(job.bars.ts_last[-1]),
            last_price=str(error),
        )
    trained = forecaster.predict(data, data.rows)
    if not np.isfinite(trained).all():
        raise TrainingError(f"{job.symbol}: {job.model} gives answers that are not finite")
    artifact = forecaster.export()
    member = spec.load(artifact, job.settings)
    answers = serve(member, data, data.rows[-CHECKED_ROWS:], job.settings)
    difference = float(np.max(np.abs(answers - trained[-CHECKED_ROWS:])))
    if not difference <= EXPORT_TOLERANCE:
        raise TrainingError(
            f"{job.symbol}: the exported {job.model} differs from the trained by {difference:g}"
        )
    return TrainedModel(
        name=job.model,
        artifact=artifact,
        seconds=time.perf_counter() - started,
        rows=len(data.rows),
        data_to=int(job.bars.ts_last[-1]),
    )


def serve(
    member: Member, data: TrainingData, rows: NDArray[np.int64], settings: ModelSettings
) -> NDArray[np.float64]:
    """A Member's answers at the close of these bars: log returns, shape (len(rows),).

    The Kalman state comes from a filter that runs over the closes, as a worker's does, with the
    member's own noise from the first bar on.
    """
    pieces = _served(data, rows, noise_of(member), settings)
    answers = [member.predict(piece) for piece in pieces]
    return np.concatenate(answers)


def _served(
    data: TrainingData, rows: NDArray[np.int64], noise: KalmanNoise, settings: ModelSettings
) -> Iterator[Rows]:
    """The rows as the worker hands them to a Member, in pieces, so that memory stays small."""
    level, velocity = filtered(data.bars, noise, settings.bar_ms)
    before = settings.sequence_length - 1
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        yield Rows(
            log_price=data.bars.log_close[piece],
            kalman_level=level[piece],
            kalman_velocity=velocity[piece],
            features=data.features[piece],
            histories=[History(data.features[i - before : i]) for i in piece.tolist()],
            history_index=np.arange(len(piece)),
        )
