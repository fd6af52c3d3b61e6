"""The windows that a worker would learn from at each retrain, by the worker's own intake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np

from stream_app.bars.features import BarColumns
from stream_app.messages.schemas import Tick
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.intake import Intake
from stream_app.prediction.settings import PredictionSettings

_TOLD_EVERY: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """One symbol's training at one time."""

    symbol: str
    ts: int
    """Event time, epoch milliseconds."""
    bars: BarColumns
    """The window that is learned from: views of all the symbol's bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of all retrains. Many share their bars."""

    bars: Mapping[str, BarColumns]
    """By symbol, all of them."""
    cuts: Sequence[tuple[str, int, int, int]]
    """Symbol, event time, and the first bar of the window and the one after its last."""

    @property
    def retrains(self) -> list[Retrain]:
        """In order of time."""
        return [
            Retrain(symbol=name, ts=ts, bars=self.bars[name].slice(first, end))
            for name, ts, first, end in self.cuts
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFrom:
    """The noise with which a symbol's filter runs from an event time on, epoch ms."""

    ts: int
    noise: KalmanNoise


@dataclass(slots=True)
class _Symbol:
    intake: Intake
    models: ModelSet
    noises: list[NoiseFrom]
    """Still to come, the next one last."""
    closed: list[BarColumns] = field(default_factory=list)
    """Each as the window had it when it was new; no later bar changes it."""
    bars: int = 0
    """How many these are."""

    def enter(self, tick: Tick) -> None:
        while self.noises and tick.ts >= self.noises[-1].ts:
            self.models = replace(self.models, noise=self.noises.pop().noise)
        seen = self.intake.take(tick, tick.ts, self.models)
        if seen.closed:
            self.closed.append(self.intake.window.columns(len(seen.closed)))
            self.bars += len(self.closed[-1])


def retrain_windows(
    ticks: Iterable[Tick],
    settings: PredictionSettings,
    *,
    times: Sequence[int],
    min_bars: int,
    noises: Mapping[str, Sequence[NoiseFrom]],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Windows:
    """The window of each symbol at each time, just before the first tick at or after it.

    Windows of less than `min_bars` are left out, and so are those without a new bar since the one
    before, as in a weekend: what is learned from the same bars is the same version. Blocks for all
    ticks, about 15 us each. The result is in memory: 80 bytes a bar of each symbol, however many
    windows share it.

    Args:
        ticks: in order of event time.
        settings: of the pipeline.
        times: event times in order, epoch ms.
        min_bars: at least.
        noises: by symbol, in order of time; before the first one it is the default.
        on_progress: called with a number of ticks every few thousand.
    """
    symbols: dict[str, _Symbol] = {}
    cuts: list[tuple[str, int, int]] = []
    learned: dict[str, int] = {}
    """By symbol, how many bars there were at its last window."""
    left = iter(times)
    time = next(left, None)
    count = 0
    for count, tick in enumerate(ticks, 1):
        while time is not None and tick.ts >= time:
            for name, one in symbols.items():
                if min_bars <= one.bars != learned.get(name):
                    learned[name] = one.bars
                    cuts.append((name, time, one.bars))
            time = next(left, None)
        symbol = symbols.get(tick.symbol)
        if symbol is None:
            symbol = symbols[tick.symbol] = _Symbol(
                intake=Intake(settings),
                models=untrained(settings.horizon_bars),
                noises=[*reversed(noises.get(tick.symbol, ()))],
            )
        symbol.enter(tick)
        if count % _TOLD_EVERY == 0:
            on_progress(_TOLD_EVERY)
    on_progress(count % _TOLD_EVERY)
    return Windows(
        bars={name: _joined(one.closed) for name, one in symbols.items() if one.closed},
        cuts=[(name, ts, max(0, end - settings.window_bars), end) for name, ts, end in cuts],
    )


def _joined(parts: Sequence[BarColumns]) -> BarColumns:
    return BarColumns(
        **{
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(BarColumns)
        }
    )
