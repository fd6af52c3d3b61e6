"""One side of `before_after.py`: answers batches with the code that PYTHONPATH names.

It calls only what both checkouts have. Each line of standard input names a kind of batches.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from stream_app.messages.codec import decode_bar, encode_bar, encode_score
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import noise_of
from stream_app.models.model_set import ModelSet
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import load_settings
from stream_app.training.settings import model_settings

SHAPES: Final = {
    # symbols, ticks in a batch, batches, milliseconds between two ticks of a symbol
    "alone": (1, 1, 600, 1000),
    "256": (1, 256, 8, 1000),
    "1024": (1, 1024, 3, 1000),
    "one of each of 100": (100, 100, 20, 1000),
    "100": (100, 1024, 3, 1000),
    "one of each of 1000": (1000, 1000, 3, 1000),
    "bars": (1, 1024, 2, 15_000),
}


class Record:
    """A tick as a Kafka record."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(self, offset: int, timestamp: int, key: bytes, value: bytes) -> None:
        self.topic, self.partition, self.headers = "market.ticks.v1", 0, ()
        self.offset, self.timestamp, self.key, self.value = offset, timestamp, key, value


class Stream:
    """A partition with so many symbols, and their ticks."""

    def __init__(self, world: Path, symbols: int, interval_ms: int) -> None:
        facts = orjson.loads((world / "facts").read_bytes())
        settings = load_settings(**facts["settings"])
        self.partition = PartitionPipeline(PredictionSettings.of(settings))
        lines = (world / "bars").read_bytes().split(b"\n")
        bars = [decode_bar(line) for line in lines]
        names = [f"SYM{number:04d}" for number in range(symbols)]
        for name in names:
            symbol = self.partition.pipeline_of(name)
            symbol.recall(bars)
            symbol.resume(bars[-1], None, origin=Origin())
            symbol.models = self._models(world, model_settings(settings), symbol)
        self._ticks = self._records(names, bars[-1], interval_ms)

    def _models(self, world: Path, settings: Any, symbol: SymbolPipeline) -> ModelSet:
        """The symbol's own copies."""
        members = {
            name: spec.load((world / name).read_bytes(), settings) for name, spec in CATALOG.items()
        }
        trained_to = int(symbol.window.columns(1).ts_last[0])
        noise = noise_of(members["kalman"])
        return ModelSet(version="v1", trained_to_ts=trained_to, members=members, noise=noise)

    def _records(self, names: Sequence[str], last: Any, interval_ms: int) -> Iterator[Record]:
        random, offset, logs = np.random.default_rng(1), 0, np.zeros(len(names))
        ts = last.ts_open + 2 * 300_000
        while True:
            ts += interval_ms
            logs += random.standard_normal(len(names)) * 4e-4 * (interval_ms / 60_000) ** 0.5
            prices = (last.close * np.exp(logs)).round(2).tolist()
            for name, price in zip(names, prices, strict=True):
                value = orjson.dumps({"symbol": name, "price": price, "ts": ts, "size": 1.0})
                yield Record(offset, ts, name.encode(), value)
                offset += 1

    def take(self, count: int) -> list[Record]:
        """The next ticks."""
        return [next(self._ticks) for _ in range(count)]


def measured(stream: Stream, size: int, runs: int) -> tuple[float, float, str]:
    """Processor time of a tick for its answer and its bytes, us; and a digest of all messages."""
    batches = [stream.take(size) for _ in range(runs)]
    process = write = 0.0
    said = []
    for batch in batches:
        began = time.process_time()
        answer = stream.partition.process(batch)
        answered = time.process_time()
        values = answer.predictions.values()
        write += time.process_time() - answered
        process += answered - began
        said.append((values, answer))
    digest = hashlib.blake2b(digest_size=8)
    for values, answer in said:
        for message in (
            *values,
            *map(encode_bar, answer.bars),
            *map(encode_score, answer.scores),
        ):
            digest.update(message)
    ticks = size * runs
    return process * 1e6 / ticks, write * 1e6 / ticks, digest.hexdigest()


def main() -> None:
    world, streams = Path(sys.argv[1]), {}
    gc.freeze()  # as the worker does; older checkouts have it elsewhere
    gc.set_threshold(50_000)
    for line in sys.stdin:
        symbols, size, runs, interval_ms = SHAPES[line.strip()]
        key = symbols, interval_ms
        if key not in streams:
            streams[key] = Stream(world, symbols, interval_ms)
            for _ in range(2):  # each symbol's first tick builds its context
                streams[key].partition.process(streams[key].take(max(size, symbols)))
        print(*measured(streams[key], size, runs), flush=True)


if __name__ == "__main__":
    main()
