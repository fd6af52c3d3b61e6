"""A month of prices, in process: its ticks, its bars, and models trained on it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from harness import progress

from stream_app.bars.features import BarColumns
from stream_app.feed.files import read_ticks
from stream_app.messages.arrivals import Arrival, arrived
from stream_app.messages.schemas import Tick
from stream_app.models.catalog import CATALOG
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.manifest import TrainedSet
from stream_app.settings import Settings, load_settings
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import model_settings

SYMBOL: Final = "BTC-PERP"
CHUNK: Final = 2048
MONTH_DAYS: Final = 32.0
"""A window that holds the file's 9,006 bars."""
DAY_MS: Final = 86_400_000
BAR_MS: Final = 300_000


def plain_settings(**overrides: Any) -> Settings:
    """The default settings with a window of the whole month."""
    return load_settings(**{"training_window_days": MONTH_DAYS, **overrides})


def month_ticks(data: Path) -> list[Tick]:
    """The file's ticks: four a minute, in the order that the bar's close implies."""
    return [replace(tick, symbol=SYMBOL) for tick in read_ticks(data).ticks]


def with_sources(ticks: Iterable[Tick], first: int = 0) -> list[Arrival]:
    """Ticks as a symbol's pipeline takes them."""
    return [arrived(tick, offset) for offset, tick in enumerate(ticks, first)]


def month_pipeline(data: Path, settings: Settings) -> SymbolPipeline:
    """A symbol after the month, as a worker has it before the first training."""
    prediction = PredictionSettings.of(settings)
    pipeline, ensemble = SymbolPipeline(SYMBOL, prediction), Ensemble.of(prediction)
    ticks = with_sources(month_ticks(data))
    with progress() as shown:
        for start in shown.track(range(0, len(ticks), CHUNK), description="a month of ticks"):
            answer_ticks([(pipeline, ticks[start : start + CHUNK])], ensemble, prediction)
    return pipeline


def month_bars(data: Path, settings: Settings) -> BarColumns:
    """The window of a worker after the month."""
    return month_pipeline(data, settings).window.columns()


def jobs_for(bars: BarColumns, settings: Settings, symbol: str = SYMBOL) -> list[TrainingJob]:
    """The four training jobs of one symbol."""
    return [
        TrainingJob(symbol=symbol, model=name, bars=bars, settings=model_settings(settings))
        for name in CATALOG
    ]


@contextlib.contextmanager
def warm_pool(processes: int = 2) -> Iterator[TrainingPool]:
    """The worker's pool, with its processes started and their imports done."""
    with TrainingPool(processes) as pool:
        pool.warm_up().result()
        time.sleep(1.0)  # the other process
        yield pool


def train(bars: BarColumns, settings: Settings) -> dict[str, TrainedModel]:
    """The four models, trained in the pool."""
    with warm_pool() as pool:
        return {model.name: model for model in pool.run_all(jobs_for(bars, settings))}


def trained_set(symbol: str, trained: Mapping[str, TrainedModel], bars: BarColumns) -> TrainedSet:
    """What a retrain hands over to the registry."""
    return TrainedSet(
        symbol=symbol,
        artifacts={name: model.artifact for name, model in trained.items()},
        seconds={name: model.seconds for name, model in trained.items()},
        rows=trained["lstm"].rows,
        data_from=int(bars.ts_open[0]),
        data_to=int(bars.ts_last[-1]),
    )


def live_ticks(
    symbols: Sequence[str],
    *,
    start_ms: int,
    interval_ms: float,
    count: int,
    price: float = 40_000.0,
    seed: int = 1,
) -> list[Tick]:
    """A random walk of each symbol, the symbols in turn, `count` ticks in all.

    Args:
        symbols: each gets a tick every `interval_ms` of event time.
        start_ms: event time of the first tick.
        interval_ms: between two ticks of one symbol.
        count: of all symbols together.
        price: where each symbol starts.
        seed: of the walk.
    """
    each = -(-count // len(symbols))
    random = np.random.default_rng(seed)
    scale = 4e-4 * np.sqrt(interval_ms / 60_000)
    steps = random.standard_normal((each, len(symbols))) * scale
    prices = (price * np.exp(np.cumsum(steps, axis=0))).round(2).ravel().tolist()
    times = (start_ms + (np.arange(each) * interval_ms).astype(np.int64)).tolist()
    stamps = [ts for ts in times for _ in symbols]
    names = list(symbols) * each
    return [
        Tick(symbol=symbol, price=value, ts=ts, size=1.0)
        for symbol, value, ts in zip(names[:count], prices[:count], stamps[:count], strict=True)
    ]


def symbol_names(count: int) -> list[str]:
    """A single symbol keeps its name; several are numbered."""
    return [SYMBOL] if count == 1 else [f"SYM{number:04d}" for number in range(count)]


def window_of(ticks: Sequence[Tick], settings: Settings) -> BarColumns:
    """One symbol's window after these ticks."""
    prediction = PredictionSettings.of(settings)
    pipeline = SymbolPipeline(ticks[0].symbol, prediction)
    answer_ticks([(pipeline, with_sources(ticks))], Ensemble.of(prediction), prediction)
    return pipeline.window.columns()
