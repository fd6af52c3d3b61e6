"""The state machine of one symbol: Tick -> Prediction. Pure: no Kafka, no clock of its own.

A batch goes through in three passes. The first enters the ticks one by one into the window and
the Kalman filter and notes what each tick saw; the second asks the models about all ticks at
once; the third goes through the ticks again for what depends on the answers: the bias
correction and the closed bars. The result is that of one tick at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from stream_app.bias import BiasCorrection
from stream_app.ensemble import Blend, Ensemble, ModelSet, untrained
from stream_app.models.kalman_filter import KalmanFilter
from stream_app.observation import ContextCache, Observation, rows_of
from stream_app.schemas import Bar, MemberOutput, Prediction, Source, Tick
from stream_app.settings import Settings
from stream_app.window import OpenBar, Window

LATE: Final = "late tick: behind the grace, the window is not changed"
DUPLICATE: Final = "duplicate tick: the window is not changed again"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolAnswer:
    """What a batch of one symbol gave."""

    predictions: list[Prediction]
    """One for each tick, in the order of the ticks."""
    bars: list[Bar]
    late: int
    duplicates: int


class SymbolPipeline:
    """One symbol's window, Kalman filter, models and bias correction."""

    def __init__(self, symbol: str, settings: Settings, ensemble: Ensemble) -> None:
        self.symbol = symbol
        self._ensemble = ensemble
        self._bar_seconds = settings.bar_seconds
        self._bar_ms = settings.bar_ms
        self._horizon_s = settings.horizon_s
        self.window = Window(
            capacity=settings.window_bars,
            bar_ms=settings.bar_ms,
            grace_ms=int(settings.grace_seconds * 1000),
        )
        self.kalman = KalmanFilter()
        self.bias = BiasCorrection(horizon_ms=settings.horizon_s * 1000)
        self.models: ModelSet = untrained(settings.horizon_bars)
        """The champions. Replaced whole by one assignment; a batch sees one set throughout."""
        self.first_uncovered: int | None = None
        """Offset of the first tick after the last published state; None when there is none."""
        self._contexts = ContextCache(self.window, settings.lstm_sequence_length)

    def process(self, ticks: Sequence[tuple[Tick, Source]]) -> SymbolAnswer:
        """Answer a batch of this symbol's ticks, in the order of their offsets.

        Does not block beyond its own arithmetic. Called by the partition's pipeline.
        """
        models = self.models
        seen = [self._enter(tick, source, models) for tick, source in ticks]
        answer = SymbolAnswer(
            predictions=[],
            bars=[],
            late=sum(item.left_out is LATE for item in seen),
            duplicates=sum(item.left_out is DUPLICATE for item in seen),
        )
        # A batch can hold the tick with which the window first has enough bars.
        for _, run in groupby(seen, key=lambda item: item.context is None):
            items = list(run)
            blend = self._ensemble.blend(
                models,
                rows_of(items),
                np.array([item.tick.ts for item in items], dtype=np.int64),
                np.array([item.price for item in items]),
            )
            self._finish(items, blend, models, answer)
        return answer

    def _enter(self, tick: Tick, source: Source, models: ModelSet) -> Observation:
        window, kalman = self.window, self.kalman
        latest: OpenBar | None = None
        left_out = None
        closed: list[tuple[OpenBar, int]] = []
        if window.is_late(tick):
            left_out = LATE
        elif window.is_duplicate(tick):
            left_out = DUPLICATE
        else:
            kalman.update(math.log(tick.price), tick.ts, models.noise, self._bar_ms)
            bar, is_latest = window.add(tick)
            if is_latest:
                bar.kalman_velocity, bar.kalman_innovation = kalman.velocity, kalman.innovation
                latest = bar
            closed = [(bar, window.append(bar)) for bar in window.take_closed()]
        if closed:
            self.first_uncovered = None
        elif self.first_uncovered is None:
            self.first_uncovered = source.offset
        newest = window.open_bars[-1]
        return Observation(
            tick=tick,
            source=source,
            left_out=left_out,
            bar=latest,
            price=newest.close,
            log_price=math.log(newest.close),
            log_high=math.log(newest.high),
            log_low=math.log(newest.low),
            level=kalman.level,
            velocity=kalman.velocity,
            innovation=kalman.innovation,
            context=self._contexts.current() if models.is_trained else None,
            closed=closed,
            state={"window": window.state(), "kalman": kalman.to_state()} if closed else None,
        )

    def _finish(
        self, seen: Sequence[Observation], blend: Blend, models: ModelSet, answer: SymbolAnswer
    ) -> None:
        """Go through the ticks again, now with the models' answers, and make the messages."""
        prices, weights = blend.prices.T.tolist(), blend.weights.T.tolist()
        for at, (item, ensemble) in enumerate(zip(seen, blend.price.tolist(), strict=True)):
            forecasts = [
                self.bias.close(bar.ts_open, math.log(bar.close)) for bar, _ in item.closed
            ]
            if item.bar is not None:
                self.bias.note(item.bar.ts_open, math.log(ensemble) - item.log_price)
            answer.bars.extend(self._bars(item, forecasts, models))
            tick, bias, degraded = item.tick, item.price * self.bias.value, blend.degraded[at]
            age_s = max(0, tick.ts - models.trained_to_ts) / 1000 if models.is_trained else 0.0
            answer.predictions.append(
                Prediction(
                    id=f"{item.source.topic}-{item.source.partition}-{item.source.offset}",
                    symbol=tick.symbol,
                    ts=tick.ts,
                    target_ts=tick.ts + self._horizon_s * 1000,
                    horizon_s=self._horizon_s,
                    last_price=item.price,
                    prediction=ensemble + bias,
                    bias_correction=bias,
                    members={
                        name: MemberOutput(
                            prediction=price, weight=weight, version=models.version, age_s=age_s
                        )
                        for name, price, weight in zip(
                            blend.names, prices[at], weights[at], strict=True
                        )
                        if not math.isnan(price)
                    },
                    degraded=degraded if item.left_out is None else (*degraded, item.left_out),
                    source=item.source,
                )
            )

    def _bars(
        self, item: Observation, forecasts: Sequence[float | None], models: ModelSet
    ) -> Iterator[Bar]:
        for (bar, empty), forecast in zip(item.closed, forecasts, strict=True):
            yield Bar(
                symbol=self.symbol,
                ts_open=bar.ts_open,
                ts_last=bar.ts_last,
                bar_s=self._bar_seconds,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
                ticks=bar.ticks,
                empty_before=empty,
                kalman_velocity=bar.kalman_velocity,
                kalman_innovation=bar.kalman_innovation,
                forecast=forecast,
                state={
                    **(item.state or {}),
                    "bias": self.bias.state(),
                    "version": models.version,
                },
                source=item.source,
            )

    def restore(self, bars: Sequence[Bar]) -> None:
        """Take over the closed bars of a symbol, oldest first, and the state of the last one."""
        for bar in bars:
            self.window.append(
                OpenBar(
                    ts_open=bar.ts_open,
                    open=bar.open,
                    high=bar.high,
                    low=bar.low,
                    close=bar.close,
                    volume=bar.volume,
                    ticks=bar.ticks,
                    ts_first=bar.ts_open,
                    ts_last=bar.ts_last,
                    kalman_velocity=bar.kalman_velocity,
                    kalman_innovation=bar.kalman_innovation,
                )
            )
        state = bars[-1].state
        self.window.restore(state["window"])
        self.kalman = KalmanFilter.from_state(state["kalman"])
        self.bias.restore(state["bias"])
