"""The state machine of one symbol: Tick -> Prediction. Pure: no Kafka, no clock of its own.

`answering.py` drives it: it enters ticks here, asks the models about what they saw, and comes back
with the answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any

from stream_app.bars.message import bar_message, bar_of_message, empty_bar_message
from stream_app.bars.window import OpenBar, Window
from stream_app.messages.schemas import Bar, MemberOutput, Prediction, Source, Tick
from stream_app.models.kalman_filter import KalmanFilter
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.bias import BiasCorrection
from stream_app.prediction.ensemble import Blended
from stream_app.prediction.observation import DUPLICATE, LATE, ContextCache, Observation
from stream_app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolAnswer:
    """What a batch of one symbol gave."""

    predictions: list[Prediction]
    """One for each tick, in the order of the ticks."""
    bars: list[Bar]
    late: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A batch of one symbol between the passes."""

    models: ModelSet
    """The champions that answer all of it."""
    runs: Sequence[Sequence[Observation]]
    """The ticks in order, cut where the window first has enough bars: in each run all observations
    have a context, or none has."""
    checkpoint: list[Bar]
    """The state before the first tick, where new champions take over."""


class SymbolPipeline:
    """One symbol's window, Kalman filter, models and bias correction."""

    def __init__(self, symbol: str, settings: Settings) -> None:
        self.symbol = symbol
        self._bar_seconds = settings.bar_seconds
        self._bar_ms = settings.bar_ms
        self._horizon_s = settings.horizon_s
        self.window = Window(
            capacity=settings.window_bars,
            bar_ms=settings.bar_ms,
            grace_ms=int(settings.grace_seconds * 1000),
        )
        self.kalman = KalmanFilter()
        self.bias = BiasCorrection(
            horizon_ms=settings.horizon_s * 1000,
            horizon_bars=settings.horizon_bars if settings.horizon_by == "bars" else None,
        )
        self.models: ModelSet = untrained(settings.horizon_bars)
        """The champions. Replaced whole by one assignment, from anywhere in the event loop; the
        next batch adopts them, and sees one set throughout."""
        self._serving = self.models
        self._since = -1
        """The offset at which `_serving` was adopted."""
        self._last_bar: Bar | None = None
        self._lost_bars = 0
        """How many more bars must close until no feature reaches back to lost history."""
        self.first_uncovered: int | None = None
        """Offset of the first tick after the last published state; None when there is none."""
        self._contexts = ContextCache(self.window, settings.lstm_sequence_length)

    def enter(self, ticks: Sequence[tuple[Tick, Source]], *, adopt: bool) -> Entered:
        """Take in ticks, in the order of their offsets; `finish` must follow.

        Args:
            ticks: at least one.
            adopt: whether new champions take over.
        """
        checkpoint = self._adopt(ticks[0][1]) if adopt else []
        models = self._serving
        seen = [self._enter(tick, source, models) for tick, source in ticks]
        runs = [list(run) for _, run in groupby(seen, key=lambda item: item.context is None)]
        return Entered(models=models, runs=runs, checkpoint=checkpoint)

    def _adopt(self, source: Source) -> list[Bar]:
        """Let the champions serve from this tick on.

        Returns:
            A checkpoint just before this tick: a restart that goes on from it runs the filter
            with the old noise up to here, and with the new one from here on.
        """
        if self._serving is self.models:
            return []
        self._serving = self.models
        self._since = source.offset
        return self.checkpoint(replace(source, offset=source.offset - 1))

    def checkpoint(self, source: Source) -> list[Bar]:
        """The last closed bar once more, with the state as it is now, just after `source`.

        Before the first bar has closed it is an empty bar, of the time before the first tick;
        before the first tick there is nothing to say.
        """
        if not self.window.open_bars:
            return []
        self.first_uncovered = None
        state = self._complete(self._state())
        if self._last_bar is None:
            before = self.window.open_bars[0].ts_open - self._bar_ms
            made = empty_bar_message(
                self.symbol, before, bar_s=self._bar_seconds, state=state, source=source
            )
            return [made]
        self._last_bar = replace(self._last_bar, state=state, source=source)
        return [self._last_bar]

    def _state(self) -> dict[str, Any]:
        return {"window": self.window.state(), "kalman": self.kalman.to_state()}

    def _complete(self, state: dict[str, Any]) -> dict[str, Any]:
        return {
            **state,
            "forecasts": self.bias.state(),
            "version": self._serving.version,
            "since": self._since,
            "lost_bars": self._lost_bars,
        }

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
            self._lost_bars = max(0, self._lost_bars - len(closed))
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
            state=self._state() if closed else None,
            history_lost=self._lost_bars > 0,
        )

    def finish(
        self, entered: Entered, names: Sequence[str], blended: Sequence[Blended]
    ) -> SymbolAnswer:
        """Go through the ticks again, now with the models' answers, and make the messages.

        Args:
            entered: what `enter` gave.
            names: of the ensemble's members.
            blended: the ensemble's answer to each tick.
        """
        seen = list(chain.from_iterable(entered.runs))
        answer = SymbolAnswer(
            predictions=[],
            bars=entered.checkpoint,
            late=sum(item.left_out is LATE for item in seen),
            duplicates=sum(item.left_out is DUPLICATE for item in seen),
        )
        models = entered.models
        # The filter's state, and so its answer, also depends on when it took over its noise.
        kalman_version = f"{models.version}@{self._since}" if models.is_trained else models.version
        for item, (ensemble, prices, weights, degraded) in zip(seen, blended, strict=True):
            forecasts = [
                self.bias.close(bar.ts_open, math.log(bar.close)) for bar, _ in item.closed
            ]
            if item.bar is not None:
                self.bias.note(item.bar.ts_open, math.log(ensemble) - item.log_price)
            answer.bars.extend(self._bars(item, forecasts))
            tick, bias = item.tick, item.price * self.bias.value
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
                            prediction=price,
                            weight=weight,
                            version=kalman_version if name == "kalman" else models.version,
                            age_s=age_s,
                        )
                        for name, price, weight in zip(names, prices, weights, strict=True)
                        if not math.isnan(price)
                    },
                    degraded=(*degraded, *item.reasons),
                    source=item.source,
                )
            )
        return answer

    def _bars(self, item: Observation, forecasts: Sequence[float | None]) -> Iterator[Bar]:
        for (bar, empty), forecast in zip(item.closed, forecasts, strict=True):
            self._last_bar = bar_message(
                self.symbol,
                bar,
                bar_s=self._bar_seconds,
                empty_before=empty,
                forecast=forecast,
                state=self._complete(item.state or {}),
                source=item.source,
            )
            yield self._last_bar

    def restore(self, bars: Sequence[Bar], serving: ModelSet | None) -> None:
        """Take over the closed bars of a symbol, oldest first, and the state of the last one.

        Args:
            bars: at least one.
            serving: the models of the version that the last bar's state names, if they are
                still to be had; the next batch adopts `models` in their place.
        """
        closed = [(message, bar) for message in bars if (bar := bar_of_message(message))]
        for message, bar in closed:
            self.window.append(bar)
            self._last_bar = message
        state = bars[-1].state
        self.window.restore(state["window"])
        self.kalman = KalmanFilter.from_state(state["kalman"])
        self.bias.restore(
            ((bar.ts_open, math.log(bar.close), message.forecast) for message, bar in closed),
            state["forecasts"],
        )
        if serving is not None:
            self._serving, self._since = serving, state["since"]
        self._lost_bars = state["lost_bars"]

    def lose_history(self) -> None:
        """Say in the answers that a part of the history is gone, as long as features need it."""
        self._lost_bars = self._contexts.needed_bars
