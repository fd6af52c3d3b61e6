"""How many symbols are fully retrained inside the target of 45 s, the LSTM included.

The worker's own cycle (training/cycle.py) runs over many symbols with a month of bars each, in its
pool of two processes, including the gate and the registry's writing and loading. It measures when
each symbol's new models serve.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import numpy as np
from harness import console, options, progress, save, show, spread, spread_table
from numpy.typing import NDArray
from prices import month_bars, plain_settings, symbol_names, warm_pool

from stream_app.bars.features import BarColumns
from stream_app.clock import SystemClock
from stream_app.messages.schemas import RetrainEvent
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.settings import Settings
from stream_app.training.cycle import Retrainer
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.schedule import Due
from stream_app.training.settings import RetrainSettings, model_settings
from stream_app.training.turn import Judge, RunJob

BUDGET_S: Final = 45.0
TARGET: Final = 12


class Retrained:
    """The part of a symbol that a cycle sees. It notes when it gets new models."""

    def __init__(self, symbol: str, bars: BarColumns, untrained_set: ModelSet) -> None:
        self.symbol = self.name = symbol
        self.has_news = True
        self.window = self
        self.served_at: float | None = None
        self._bars = bars
        self._models = untrained_set

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def ts_open(self) -> NDArray[np.int64]:
        return self._bars.ts_open

    def columns(self, last: int = 0) -> BarColumns:
        fields = dataclasses.fields(self._bars)
        return BarColumns(**{f.name: getattr(self._bars, f.name)[-last:] for f in fields})

    @property
    def models(self) -> ModelSet:
        return self._models

    @models.setter
    def models(self, models: ModelSet) -> None:
        self._models = models
        self.served_at = time.perf_counter()


class AtOnce:
    """New models serve at once: the champions topic is not measured here."""

    def __init__(self, symbols: Mapping[str, Retrained]) -> None:
        self._symbols = symbols

    def is_pinned(self, _name: str) -> bool:
        return False

    def needed(self, _name: str) -> set[str]:
        return set()

    def standing(self, _name: str) -> None:
        return None

    async def promote(self, name: str, models: ModelSet) -> bool:
        self._symbols[name].models = models
        return True


async def cycle(
    settings: Settings, bars: BarColumns, count: int, run_job: RunJob, judge: Judge
) -> list[float]:
    """After how many seconds new models served each symbol."""
    symbols = [
        Retrained(name, bars, untrained(settings.horizon_bars)) for name in symbol_names(count)
    ]
    events: list[RetrainEvent] = []

    async def publish(event: RetrainEvent) -> None:
        events.append(event)

    retrainer = Retrainer(
        settings=RetrainSettings.of(settings),
        versions=Versions(Registry(settings.data_dir, model_settings(settings))),
        run_job=run_job,
        judge=judge,
        champions=AtOnce({item.symbol: item for item in symbols}),
        symbols=lambda: {item.symbol: cast(SymbolPipeline, item) for item in symbols},
        publish=publish,
        clock=SystemClock(),
        worker="benchmark",
    )
    started = time.perf_counter()
    pipelines = [cast(SymbolPipeline, item) for item in symbols]
    due = Due(trigger="scheduled", pipelines=pipelines, plan=None)
    await retrainer.run_cycle(due, asyncio.Event())
    if events[-1].state != "succeeded":
        raise RuntimeError(f"{events[-1].state}: {events[-1].reasons}")
    return sorted(item.served_at - started for item in symbols if item.served_at is not None)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbols", type=int, help="symbols in a cycle; more than fit the budget")


def main() -> None:
    chosen, given = options(__doc__, add=add)
    count = given.symbols or (4 if chosen.quick else 18)
    runs: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as root, warm_pool() as pool:
        settings = plain_settings(
            data_dir=Path(root),
            min_training_bars=500,
            # One cycle takes on all symbols, so that the rate is known beyond the budget too.
            retrain_target_seconds=600.0,
            retrain_deadline_seconds=600.0,
        )
        bars = month_bars(chosen.data, settings)
        with progress() as shown:
            task = shown.add_task("symbols retrained", total=count * 4 * chosen.rounds)

            async def run_job(job: TrainingJob, begun: Callable[[], None]) -> TrainedModel:
                trained = await pool.run(job, begun)
                shown.advance(task)
                return trained

            runs.extend(
                asyncio.run(cycle(settings, bars, count, run_job, pool.judge))
                for _ in range(chosen.rounds)
            )
    inside = [float(sum(at <= BUDGET_S for at in run)) for run in runs]
    each = [run[-1] / count for run in runs]
    if any(run[-1] <= BUDGET_S for run in runs):
        console.print(f"all {count} symbols fit: take more with --symbols, or see the rate")
    by_rate = [BUDGET_S / value for value in each]
    spreads = {
        f"symbols retrained within {BUDGET_S:g} s (of {count})": spread(inside),
        "seconds a symbol": spread(each),
        f"{BUDGET_S:g} s / seconds a symbol": spread(by_rate),
    }
    show(
        spread_table("Four models a symbol, two processes", "symbols, s", spreads),
        f"target: at least {TARGET} symbols",
    )
    save(chosen, {"target": TARGET, "budget_s": BUDGET_S, "symbols": count, "found": spreads})


if __name__ == "__main__":
    main()
