"""1,000 symbols in one worker: memory, a tick, the check of each second, a load, the plan.

All in one process, without a broker: the cost of a tick and of the retrain timer's check against
those of one symbol, in processor time; the load of a symbol's models from disk, which a restart
does for each; and the worker's own planned cycles over symbols with a month of bars, in its pool.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from harness import Spread, console, options, progress, save, show, spread, spread_table
from prices import (
    month_pipeline,
    month_ticks,
    plain_settings,
    symbol_names,
    train,
    trained_set,
    warm_pool,
)
from symbols_in_budget import AtOnce, Retrained
from tick_cost import copy_window, cost, loaded, resident_mib

from stream_app.bars.features import BarColumns
from stream_app.clock import SystemClock
from stream_app.messages.schemas import RetrainEvent
from stream_app.models.model_set import untrained
from stream_app.ops.garbage import collect_garbage_rarely
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.settings import Settings
from stream_app.training.cycle import Retrainer
from stream_app.training.job import TrainedModel
from stream_app.training.schedule import RetrainSchedule
from stream_app.training.settings import RetrainSettings, model_settings

LOADED: Final = 20
"""Versions that are loaded from disk in each round."""
PLANNED: Final = 8
"""Symbols that are trained by a plan."""


def look_ms(symbols: Mapping[str, SymbolPipeline], settings: Settings, rounds: int) -> list[float]:
    """Processor time of the timer's look, once all were trained and the plan knows how long."""
    schedule = RetrainSchedule(RetrainSettings.of(settings).schedule, SystemClock())
    for name, pipeline in symbols.items():
        schedule.turn_begins(name, len(pipeline.window))
        schedule.turn_took(name, 2.4)
        schedule.turn_ends(name)
    found = []
    for _ in range(20 * rounds):
        began = time.process_time()
        schedule.due(symbols)
        found.append((time.process_time() - began) * 1000)
    return found[1:]


def load_ms(
    trained: dict[str, TrainedModel], bars: BarColumns, settings: Settings, rounds: int
) -> list[float]:
    """Processor time of reading one symbol's four models back, as a restart does."""
    registry = Registry(settings.data_dir, model_settings(settings))
    names = symbol_names(LOADED)
    made = [registry.publish(trained_set(n, trained, bars), now=datetime.now(UTC)) for n in names]
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for name, models in zip(names, made, strict=True):
            registry.load(name, models.version)
        found.append((time.process_time() - began) * 1000 / LOADED)
    return found


async def planned(settings: Settings, bars: BarColumns, count: int) -> list[RetrainEvent]:
    """The ends of planned cycles, one for each symbol, as fast as the pool can."""
    symbols = {name: Retrained(name, bars, untrained(1)) for name in symbol_names(count)}
    events: list[RetrainEvent] = []

    async def publish(event: RetrainEvent) -> None:
        events.append(event)

    with warm_pool() as pool:
        retrainer = Retrainer(
            settings=RetrainSettings.of(settings),
            versions=Versions(Registry(settings.data_dir, model_settings(settings))),
            run_job=pool.run,
            judge=pool.judge,
            champions=AtOnce(symbols),
            symbols=lambda: cast(dict[str, SymbolPipeline], symbols),
            publish=publish,
            clock=SystemClock(),
            worker="benchmark",
        )
        while sum(len(event.versions) for event in events) < count:
            retrainer.tick()
            await asyncio.sleep(1.0)
        await retrainer.stop()
    return [event for event in events if event.plan and event.state == "succeeded"]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbols", type=int, default=1000, help="in the worker")


def main() -> None:
    chosen, given = options(__doc__, add=add)
    count = 100 if chosen.quick else given.symbols
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        settings = plain_settings(data_dir=Path(root), retrain_target_seconds=1.0)
        source = month_pipeline(chosen.data, settings)
        bars = source.window.columns()
        console.print("training the models")
        trained = train(bars, settings)
        console.print(f"planned cycles of {PLANNED} symbols")
        events = asyncio.run(planned(settings, bars, PLANNED))
        loads = load_ms(trained, bars, settings, chosen.rounds)
        partitions = {}
        memory: dict[str, float] = {}
        with progress() as shown:
            task = shown.add_task("symbols", total=count + 1)
            for number in (1, count):
                partition = partitions[number] = PartitionPipeline(PredictionSettings.of(settings))
                before = resident_mib()
                for name in symbol_names(number):
                    target = partition.pipeline_of(name)
                    copy_window(source, target)
                    target.models = loaded(trained, settings, int(bars.ts_last[-1]))
                    shown.advance(task)
                memory[f"{number:,} symbols"] = (resident_mib() - before) / number
        collect_garbage_rarely()
        last, price = month_ticks(chosen.data)[-1].ts, float(np.exp(bars.log_close[-1]))
        ticks = cost(chosen, partitions, last, price, size=settings.max_batch_ticks)
        looks = {
            number: spread(look_ms(partition.symbols, settings, chosen.rounds))
            for number, partition in partitions.items()
        }
    took = spread([event.duration_seconds for event in events])
    turn_s, fit = events[-1].plan["turn_seconds"], int(events[-1].plan["fit"])
    result: dict[str, Any] = {
        "symbols": count,
        "mib_a_symbol": memory,
        "us_a_tick": ticks,
        "tick_many_over_one": ticks[count].median / ticks[1].median,
        "look_ms": looks,
        "load_ms_a_symbol": spread(loads),
        "planned_cycle_s": took,
        "turn_seconds": turn_s,
        "fit": fit,
    }
    rows: dict[str, Spread] = {f"{number:,} symbols": item for number, item in ticks.items()}
    show(
        spread_table("A tick in batches of 2,048 at most", "us", rows, digits=1),
        spread_table(
            "The timer's look, each second",
            "ms",
            {f"{number:,} symbols": item for number, item in looks.items()},
            digits=3,
        ),
        spread_table("Four models of a symbol read from disk", "ms", {"one": spread(loads)}),
        spread_table("A planned cycle: one symbol", "s", {"length": took}),
        f"memory of a symbol: {memory} MiB",
        f"{turn_s:.2f} s of 2 processes a symbol: {fit:,} symbols fit into an hour, and {count:,} "
        f"need {count * turn_s / 60:.0f} min of it",
    )
    save(chosen, result)


if __name__ == "__main__":
    main()
