"""The time of a tick with 1 to 1,000 symbols, and the memory of each additional symbol.

Time: `PartitionPipeline.process`, from records to predictions by all four models, each symbol with
a month of bars. Beside it, what it takes to read the numbers of each symbol's models once, in
order: no batch with one tick of each symbol can cost less than that more than a tick of one whose
models are in the processor's cache. Memory: the window with its month alone, the symbol's own four
models, and what ten ticks of it add.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import psutil
from harness import Options, interleaved, options, progress, save, show, spread, spread_table
from prices import live_ticks, month_pipeline, month_ticks, plain_settings, symbol_names, train
from rich.table import Table

from stream_app.bars.open_bar import OpenBar
from stream_app.clock import HOUR_MS
from stream_app.compiled import DOUBLES, INT_TABLE, address_of, array_at, compiled, types
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.kernel import Compiled
from stream_app.models.model_set import ModelSet
from stream_app.ops.garbage import collect_garbage_rarely
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.training.job import TrainedModel
from stream_app.training.settings import model_settings

COUNTS: Final = (1, 10, 100, 1000)
FLAT: Final = 1.2
LIMIT_MIB: Final = 1.0
TICKS_BEFORE: Final = 10
"""Of each symbol, before its memory is measured."""


@dataclass(frozen=True, slots=True)
class TickRecord:
    """A tick as a Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


def copy_window(source: SymbolPipeline, target: SymbolPipeline) -> None:
    """Copy the closed bars and the filter of another symbol."""
    window = source.window
    columns = {name: window.column(name).tolist() for name in ("open", "high", "low", "close")}
    bars = window.columns()
    for at, ts_open in enumerate(bars.ts_open.tolist()):
        target.window.append(
            OpenBar(
                ts_open=ts_open,
                **{name: values[at] for name, values in columns.items()},
                volume=1.0,
                ticks=20,
                ts_first=ts_open,
                ts_last=int(bars.ts_last[at]),
                kalman_velocity=float(bars.kalman_velocity[at]),
                kalman_innovation=float(bars.kalman_innovation[at]),
            )
        )
    target.window.restore(window.state())
    target._intake.kalman = source.kalman.copy()


def loaded(trained: dict[str, TrainedModel], settings: Settings, to_ts: int) -> ModelSet:
    """A symbol's own four models."""
    models = model_settings(settings)
    members = {name: CATALOG[name].load(trained[name].artifact, models) for name in CATALOG}
    kalman = members["kalman"]
    assert isinstance(kalman, KalmanMember)
    return ModelSet(version="benchmark", trained_to_ts=to_ts, members=members, noise=kalman.noise)


def records(
    symbols: Sequence[str], start_ms: int, price: float, count: int
) -> Iterator[TickRecord]:
    """Ticks of all symbols in turn."""
    ticks = live_ticks(symbols, start_ms=start_ms, interval_ms=1000, count=count, price=price)
    for offset, tick in enumerate(ticks):
        key, value = tick.symbol.encode(), encode_tick(tick)
        yield TickRecord("market.ticks.v1", 0, offset, tick.ts, key, value)


@compiled(types.float64(INT_TABLE, DOUBLES))
def read_once(arrays: Any, sums: Any) -> float:
    """Add up all numbers of arrays of which the address and the length in doubles are given."""
    for row in range(len(arrays)):
        sums[:] = 0.0
        numbers = array_at(arrays[row, 0], arrays[row, 1], np.float64)
        for at in range(0, len(numbers) - len(sums) + 1, len(sums)):
            for lane in range(len(sums)):
                sums[lane] += numbers[at + lane]
    return float(sums[0])


def reading(chosen: Options, partitions: dict[int, PartitionPipeline]) -> dict[int, Any]:
    """Microseconds to read one symbol's models once, by number of symbols, in turn."""
    tables = {
        count: np.array(
            [
                (address_of(array), array.nbytes // 8)
                for pipeline in partition.symbols.values()
                for member in pipeline.models.members.values()
                if isinstance(member, Compiled)
                for array in member.kernel.held
            ]
        )
        for count, partition in partitions.items()
    }
    sums = np.zeros(8)

    def took_us(count: int) -> float:
        runs = max(1, 1000 // count)
        read_once(tables[count], sums)
        started = time.perf_counter()
        for _ in range(runs):
            read_once(tables[count], sums)
        return (time.perf_counter() - started) * 1e6 / (count * runs)

    sides = {str(count): partial(took_us, count) for count in tables}
    measured = interleaved(sides, chosen.rounds)
    return {int(count): spread(values) for count, values in measured.items()}


def resident_mib() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    source = month_pipeline(chosen.data, settings)
    bars = source.window.columns()
    trained = train(bars, settings)
    counts = COUNTS[:3] if chosen.quick else COUNTS
    price, to_ts = float(np.exp(bars.log_close[-1])), int(bars.ts_last[-1])
    last = month_ticks(chosen.data)[-1].ts
    memory: list[dict[str, Any]] = []
    partitions: dict[int, PartitionPipeline] = {}
    with progress() as shown:
        task = shown.add_task("symbols", total=sum(counts))
        for count in counts:
            partition = partitions[count] = PartitionPipeline(PredictionSettings.of(settings))
            given = records(symbol_names(count), last, price, TICKS_BEFORE * count)
            batches = [[next(given) for _ in range(count)] for _ in range(TICKS_BEFORE)]
            before = resident_mib()
            for name in symbol_names(count):
                copy_window(source, partition.pipeline_of(name))
                shown.advance(task)
            windows = resident_mib()
            for pipeline in partition.symbols.values():
                pipeline.models = loaded(trained, settings, to_ts)
            models = resident_mib()
            tracemalloc.start()  # too little for the process's size to show it
            for batch in batches:
                partition.process(batch)
            gc.collect()
            added, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            memory.append(
                {
                    "symbols": count,
                    "window_mib": (windows - before) / count,
                    "models_mib": (models - windows) / count,
                    "ticks_mib": added / 2**20 / count,
                }
            )
    collect_garbage_rarely()
    alone = cost(chosen, partitions, last + HOUR_MS, price, size=1)
    size = settings.max_batch_ticks
    batched = cost(chosen, partitions, last + 86_400_000, price, size=size)
    per_symbol = cost(chosen, partitions, last + 2 * 86_400_000, price, size=None)
    costs = {
        "one tick at a time": alone,
        f"in batches of {size:,} across the symbols": batched,
        "in batches of 16 a symbol": per_symbol,
    }
    read = reading(chosen, partitions)
    flat = {
        name: max(item.median for item in found.values()) / found[1].median
        for name, found in costs.items()
    }
    show(
        *(
            spread_table(
                f"A tick {name} (most / one symbol: {flat[name]:.2f})",
                "us",
                {f"{count:,} symbols": item for count, item in found.items()},
                digits=1,
            )
            for name, found in costs.items()
        ),
        spread_table(
            "Reading the numbers of a symbol's models once",
            "us",
            {f"{count:,} symbols": item for count, item in read.items()},
            digits=1,
        ),
        memory_table(memory),
        f"targets: flat within {FLAT:g}, a further symbol's month at most {LIMIT_MIB:g} MiB",
    )
    save(
        chosen,
        {
            "targets": {"flat": FLAT, "mib": LIMIT_MIB},
            "us_a_tick": costs,
            "us_to_read_models_once": read,
            "most_over_one": flat,
            "memory": memory,
        },
    )


def cost(
    chosen: Options,
    partitions: dict[int, PartitionPipeline],
    start_ms: int,
    price: float,
    *,
    size: int | None,
) -> dict[int, Any]:
    """Microseconds per tick by number of symbols, the numbers in turn in each round.

    Args:
        chosen: rounds and quick.
        partitions: by number of symbols.
        start_ms: event time of the first tick.
        price: price of the first tick.
        size: records in a batch; None for 16 of each symbol, of at most 64 symbols.
    """
    measured: dict[int, list[float]] = {count: [] for count in partitions}
    streams = {}
    each = {}
    for count, partition in partitions.items():
        names = symbol_names(count)
        used = names if size is not None else names[:64]
        batch = size or 16 * len(used)
        runs = max(len(used), 400) if size == 1 else max(4, 2000 // batch)
        if chosen.quick:
            runs = max(2, runs // 4)
        each[count] = (batch, runs)
        # The first round has every symbol's first tick and builds its context. It does not count.
        warm = -(-len(used) // batch)
        total = batch * (runs * chosen.rounds + max(warm, 2))
        streams[count] = records(used, start_ms, price, total)
        for _ in range(max(warm, 2)):
            partition.process([next(streams[count]) for _ in range(batch)])
    with progress() as shown:
        task = shown.add_task("ticks", total=chosen.rounds * len(partitions))
        for _ in range(chosen.rounds):
            for count, partition in partitions.items():
                batch, runs = each[count]
                batches = [[next(streams[count]) for _ in range(batch)] for _ in range(runs)]
                started = time.perf_counter()
                for item in batches:
                    partition.process(item)
                measured[count].append((time.perf_counter() - started) * 1e6 / (batch * runs))
                shown.advance(task)
    return {count: spread(values) for count, values in measured.items()}


def memory_table(memory: list[dict[str, Any]]) -> Table:
    table = Table(title="Memory of each symbol [MiB]", title_justify="left")
    for name in ("symbols", "window with a month", "its four models", "what ticks add"):
        table.add_column(name, justify="right")
    for item in memory:
        table.add_row(
            str(item["symbols"]),
            *(f"{item[each]:.3f}" for each in ("window_mib", "models_mib", "ticks_mib")),
        )
    return table


if __name__ == "__main__":
    main()
