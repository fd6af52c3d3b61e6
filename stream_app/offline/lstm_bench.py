"""What the LSTM's settings cost and give, on one window: `stream-app bench lstm`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stream_app.bars.features import BarColumns
from stream_app.clock import HOUR_MS
from stream_app.models.base import ModelSettings
from stream_app.models.lstm import LSTMForecaster, load_lstm
from stream_app.models.lstm_weights import Weights, read_weights
from stream_app.scoring.point import Score, mae_ratio
from stream_app.settings import Settings
from stream_app.training.holdout import Holdout, hold_out, score
from stream_app.training.job import prepare, serve
from stream_app.training.process import import_trainers


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table, before it is measured."""

    name: str
    settings: ModelSettings
    warm_start: bool = False
    """Start from a model that was trained the same way on the window of an hour earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row of the table."""

    name: str
    layers: tuple[int, ...]
    steps: int
    batch: int
    epochs: int
    """As many as it took."""
    parameters: int
    """That are learned: what standardises the inputs is not."""
    seconds: float
    """Wall time of the training alone, on one thread; a warm start's does not include the start."""
    error: Score
    ratio: float | None
    """Mean absolute error over the last price's; None where that is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All rows, measured on the same held-out bars."""

    bars: int
    learned_bars: int
    test_rows: int
    last_price: Score
    rows: tuple[Measured, ...]


def variants(settings: ModelSettings) -> tuple[Variant, ...]:
    """The rows of the table: the LSTM's default settings, and each with one change.

    Args:
        settings: give the bars, the horizon and the seed; the LSTM's own are not looked at.
    """
    default: dict[str, Any] = {name: each.default for name, each in Settings.model_fields.items()}
    after = replace(
        settings,
        lstm_layers=default["lstm_layers"],
        sequence_length=default["lstm_sequence_length"],
        lstm_batch_size=default["lstm_batch_size"],
        lstm_epochs=default["lstm_epochs"],
    )
    before = replace(
        after, lstm_layers=(64, 32, 16), sequence_length=60, lstm_batch_size=32, lstm_epochs=100
    )
    return (
        Variant(name="before", settings=before),
        Variant(name="after", settings=after),
        Variant(name="5 epochs", settings=replace(after, lstm_epochs=5)),
        Variant(name="20 steps", settings=replace(after, sequence_length=20)),
        Variant(name="one layer of 32", settings=replace(after, lstm_layers=(32,))),
        Variant(name="batch 128", settings=replace(after, lstm_batch_size=128)),
        Variant(name="warm start", settings=after, warm_start=True),
    )


def measure(
    bars: BarColumns,
    wanted: Sequence[Variant],
    *,
    on_start: Callable[[Variant], None] = lambda _: None,
) -> Comparison:
    """Train each variant on the first bars, forecast the last ones. Blocks for the trainings.

    The longest sequence says which rows are held out, so that every variant has them.

    Args:
        bars: oldest first.
        wanted: the rows of the table.
        on_start: called before each.

    Raises:
        TrainingError: the bars are too few or not usable.
    """
    longest = max((variant.settings for variant in wanted), key=lambda each: each.sequence_length)
    cut = hold_out(bars, longest)
    last_price = score(cut.data, cut.rows, np.zeros(len(cut.rows)))
    import_trainers()
    rows = []
    for variant in wanted:
        on_start(variant)
        rows.append(_measured(variant, cut, last_price))
    return Comparison(
        bars=len(bars),
        learned_bars=len(cut.seen),
        test_rows=len(cut.rows),
        last_price=last_price,
        rows=tuple(rows),
    )


def _measured(variant: Variant, cut: Holdout, last_price: Score) -> Measured:
    settings = variant.settings
    start = None
    if variant.warm_start:
        earlier = _trained(_an_hour_earlier(cut.seen), settings)
        start = read_weights(earlier.export(), settings)
    began = time.perf_counter()
    forecaster = _trained(cut.seen, settings, start)
    seconds = time.perf_counter() - began
    artifact = forecaster.export()
    answers = serve(load_lstm(artifact, settings), cut.data, cut.rows, settings)
    error = score(cut.data, cut.rows, answers)
    return Measured(
        name=variant.name,
        layers=settings.lstm_layers,
        steps=settings.sequence_length,
        batch=settings.lstm_batch_size,
        epochs=forecaster.epochs,
        parameters=sum(each.size for each in read_weights(artifact, settings).values()),
        seconds=seconds,
        error=error,
        ratio=mae_ratio(error, last_price),
    )


def _trained(
    bars: BarColumns, settings: ModelSettings, start: Weights | None = None
) -> LSTMForecaster:
    forecaster = LSTMForecaster(start)
    forecaster.fit(prepare(bars, settings), settings)
    return forecaster


def _an_hour_earlier(bars: BarColumns) -> BarColumns:
    return bars.head(int(np.searchsorted(bars.ts_open, bars.ts_open[-1] - HOUR_MS, side="right")))
