"""The state machine of one symbol: Tick -> Prediction. Pure: no Kafka, no clock of its own.

`answering.py` drives it: it enters ticks here, asks the models about what they saw, and comes back
with the answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from stream_app.bars.message import bar_message, bar_of_message, empty_bar_message
from stream_app.bars.window import OpenBar, Window
from stream_app.messages.schemas import Bar, MemberOutput, Prediction, Source, Tick
from stream_app.models.catalog import KALMAN
from stream_app.models.kalman_filter import KalmanFilter
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.bias import BiasCorrection
from stream_app.prediction.ensemble import BlendedTick
from stream_app.prediction.observation import DUPLICATE, LATE, ContextCache, Observation
from stream_app.prediction.origin import Origin
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.state import SymbolState


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

    def __init__(
        self, symbol: str, settings: PredictionSettings, origin: Origin | None = None
    ) -> None:
        self.symbol = symbol
        self._origin = origin or Origin()
        self._suffix = self._origin.suffix
        self._bar_ms = settings.bar_ms
        self._horizon_ms = settings.horizon_ms
        self.window = Window(
            capacity=settings.window_bars,
            bar_ms=settings.bar_ms,
            grace_ms=settings.grace_ms,
        )
        self.kalman = KalmanFilter()
        self.bias = BiasCorrection(
            horizon_ms=settings.horizon_ms,
            horizon_bars=settings.horizon_bars,
            horizon_by=settings.horizon_by,
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
        self._contexts = ContextCache(self.window, settings.sequence_length)

    def enter(self, ticks: Sequence[tuple[Tick, Source]], *, floor: int, adopt: bool) -> Entered:
        """Take in ticks, in the order of their offsets; `finish` must follow.

        Args:
            ticks: at least one.
            floor: the partition's, just before the ticks; the state of closed bars says it.
            adopt: whether new champions take over.
        """
        checkpoint = self._adopt(ticks[0][1], floor) if adopt else []
        models = self._serving
        seen = [self._enter(tick, source, models, floor) for tick, source in ticks]
        runs = [list(run) for _, run in groupby(seen, key=lambda item: item.context is None)]
        return Entered(models=models, runs=runs, checkpoint=checkpoint)

    def _adopt(self, source: Source, floor: int) -> list[Bar]:
        """Let the champions serve from this tick on.

        Returns:
            A checkpoint just before this tick: a restart that goes on from it runs the filter
            with the old noise up to here, and with the new one from here on.
        """
        if self._serving is self.models:
            return []
        self._serving = self.models
        self._since = source.offset
        return self.checkpoint(replace(source, offset=source.offset - 1), floor)

    def checkpoint(self, source: Source, floor: int) -> list[Bar]:
        """The last closed bar once more, with the state as it is now, just after `source`.

        Before the first bar has closed it is an empty bar, of the time before the first tick;
        before the first tick there is nothing to say.
        """
        if not self.window.open_bars:
            return []
        self.first_uncovered = None
        state = replace(self._state(floor), forecasts=self.bias.state()).to_json()
        if self._last_bar is None:
            before = self.window.open_bars[0].ts_open - self._bar_ms
            made = empty_bar_message(
                self.symbol, before, bar_s=self._bar_ms // 1000, state=state, source=source
            )
            return [made]
        self._last_bar = replace(self._last_bar, state=state, source=source)
        return [self._last_bar]

    def _state(self, floor: int) -> SymbolState:
        """Just after the tick that was entered last; the forecasts are added by who knows them."""
        return SymbolState(
            window=self.window.state(),
            kalman=self.kalman.to_state(),
            forecasts=(),
            version=self._serving.version,
            since=self._since,
            lost_bars=self._lost_bars,
            floor=floor,
            topic_id=self._origin.topic_id,
            is_anew=self._origin.is_anew,
        )

    def _enter(self, tick: Tick, source: Source, models: ModelSet, floor: int) -> Observation:
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
            state=self._state(floor) if closed else None,
            history_lost=self._lost_bars > 0,
        )

    def finish(
        self, entered: Entered, names: Sequence[str], blended: Sequence[BlendedTick]
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
        for item, blend in zip(seen, blended, strict=True):
            forecasts = [
                self.bias.close(bar.ts_open, math.log(bar.close)) for bar, _ in item.closed
            ]
            if item.bar is not None:
                self.bias.note(item.bar.ts_open, math.log(blend.price) - item.log_price)
            answer.bars.extend(self._bars(item, forecasts))
            tick, bias = item.tick, item.price * self.bias.value
            age_s = max(0, tick.ts - models.trained_to_ts) / 1000 if models.is_trained else 0.0
            answer.predictions.append(
                Prediction(
                    id=f"{item.source.topic}{self._suffix}-{item.source.partition}-{item.source.offset}",
                    symbol=tick.symbol,
                    ts=tick.ts,
                    target_ts=tick.ts + self._horizon_ms,
                    horizon_s=self._horizon_ms // 1000,
                    last_price=item.price,
                    prediction=blend.price + bias,
                    bias_correction=bias,
                    members={
                        name: MemberOutput(
                            prediction=price,
                            weight=weight,
                            version=kalman_version if name == KALMAN else models.version,
                            age_s=age_s,
                        )
                        for name, price, weight in zip(
                            names, blend.member_prices, blend.weights, strict=True
                        )
                        if not math.isnan(price)
                    },
                    degraded=(*blend.degraded, *item.reasons),
                    source=item.source,
                )
            )
        return answer

    def _bars(self, item: Observation, forecasts: Sequence[float | None]) -> Iterator[Bar]:
        if item.state is None:
            return
        state = replace(item.state, forecasts=self.bias.state()).to_json()
        for (bar, empty), forecast in zip(item.closed, forecasts, strict=True):
            self._last_bar = bar_message(
                self.symbol,
                bar,
                bar_s=self._bar_ms // 1000,
                empty_before=empty,
                forecast=forecast,
                state=state,
                source=item.source,
            )
            yield self._last_bar

    def restore(self, bars: Sequence[Bar], serving: ModelSet | None) -> None:
        """Take over the closed bars of a symbol, oldest first, and the state of the last one.

        Args:
            bars: at least one.
            serving: the models of the version that the last bar's state names, if they are
                still there; the next batch adopts `models` in their place.
        """
        closed = [(message, bar) for message in bars if (bar := bar_of_message(message))]
        for message, bar in closed:
            self.window.append(bar)
            self._last_bar = message
        state = SymbolState.from_json(bars[-1].state)
        self.window.restore(state.window)
        self.kalman = KalmanFilter.from_state(state.kalman)
        self.bias.restore(
            ((bar.ts_open, math.log(bar.close), message.forecast) for message, bar in closed),
            state.forecasts,
        )
        if serving is not None:
            self._serving, self._since = serving, state.since
        self._lost_bars = state.lost_bars

    def lose_history(self) -> None:
        """Say in the answers that a part of the history is gone, as long as features need it."""
        self._lost_bars = self._contexts.needed_bars
