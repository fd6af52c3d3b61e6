"""Small makers of records, ticks and settings for the tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_app.feed.rows import TickRows
from stream_app.messages.codec import encode_bar
from stream_app.messages.schemas import Bar, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.offline.recording import Recording
from stream_app.settings import Settings, load_settings

TrainedArtifacts = dict[str, bytes]

START_MS = 1_640_995_200_000  # 2022-01-01


@dataclass(slots=True)
class FakeRecord:
    """A Kafka record as the pipeline sees it."""

    offset: int
    value: bytes | None
    key: bytes | None
    timestamp: int = START_MS + 10_000_000_000
    topic: str = "market.ticks.v1"
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def record(offset: int, tick: Tick) -> FakeRecord:
    return FakeRecord(offset=offset, value=encode_tick(tick), key=tick.symbol.encode())


def records(ticks: Iterable[Tick], first: int = 0) -> list[FakeRecord]:
    return [record(offset, tick) for offset, tick in zip(itertools.count(first), ticks)]


def bar_record(bar: Bar, offset: int = 0) -> Any:
    """A record of the bars topic, as far as its reader looks."""
    return FakeRecord(offset, encode_bar(bar), bar.symbol.encode(), topic="market.bars.v1")


def settings(**overrides: Any) -> Settings:
    """Settings small enough for tests: one-minute bars, a window of a day."""
    small: dict[str, Any] = {
        "bar_seconds": 60,
        "training_window_days": 1,
        "min_training_bars": 200,
        "lstm_sequence_length": 8,
        "lstm_epochs": 2,
        "lstm_layers": (8, 4),
    }
    return load_settings(**(small | overrides))


def walk(
    count: int, *, symbol: str = "BTC", seed: int = 1, step_ms: int = 15_000, start: int = START_MS
) -> Iterator[Tick]:
    """A random walk of ticks, evenly spaced."""
    rng = np.random.default_rng(seed)
    log_price = math.log(40_000.0)
    for number in range(count):
        log_price += float(rng.normal(0, 4e-4))
        yield Tick(symbol=symbol, price=math.exp(log_price), ts=start + number * step_ms, size=1.5)


class SteppedClock:
    """Monotonic seconds that go on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def recording(ticks: Iterable[Tick]) -> Recording:
    """Ticks as those of a file of trades."""
    given = list(ticks)
    symbols = tuple(dict.fromkeys(tick.symbol for tick in given))
    return Recording(
        symbols=symbols,
        rows=TickRows(
            ts=np.array([tick.ts for tick in given], dtype=np.int64),
            price=np.array([tick.price for tick in given]),
            size=np.array([np.nan if tick.size is None else tick.size for tick in given]),
            code=np.array([symbols.index(tick.symbol) for tick in given], dtype=np.int64),
        ),
    )
