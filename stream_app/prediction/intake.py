"""One symbol's window and Kalman filter: ticks go in, observations come out. Pure."""

from __future__ import annotations

import math
from typing import Any, cast

from stream_app.bars.ahead import Place
from stream_app.bars.closed_bars import ClosedBar
from stream_app.bars.jumps import FAR, limit_of
from stream_app.bars.open_bar import OpenBar
from stream_app.bars.open_bars import OpenBars
from stream_app.bars.window import Window
from stream_app.messages.schemas import Tick
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.models.model_set import ModelSet
from stream_app.prediction.measuring import measure
from stream_app.prediction.observation import (
    AHEAD,
    DUPLICATE,
    LATE,
    Observation,
)
from stream_app.prediction.plain_ticks import Limits, Rules
from stream_app.prediction.question import Question, Questions
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.state import SymbolState


class Intake:
    """Enters the ticks of one symbol, in the order of their offsets."""

    def __init__(self, settings: PredictionSettings) -> None:
        self._bar_ms = settings.bar_ms
        self._grace_ms = settings.grace_ms
        self._horizon_bars = settings.horizon_bars
        self.window = Window(
            capacity=settings.window_bars, bar_ms=settings.bar_ms, grace_ms=settings.grace_ms
        )
        self._rules: Rules | None = None
        self.kalman = KalmanFilter()
        self.kalman_ahead: KalmanFilter | None = None
        """A copy of the filter that took the ticks ahead, while the window holds any."""
        self.lost_bars = 0
        """How many more bars must close until no feature reaches back to lost history."""
        self._questions = Questions(tuple(settings.weights), settings.sequence_length)
        self._note_usual_move()

    def lose_history(self) -> None:
        """Say in the answers that a part of the history is gone, as long as features need it."""
        self.lost_bars, self._rules = self._questions.needed_bars, None

    def restore(self, state: SymbolState) -> None:
        """Take over a state, once the window has its closed bars."""
        self._rules = None
        self.window.restore(state.window)
        self.kalman = KalmanFilter.from_state(state.kalman, state.kalman_before)
        if state.kalman_ahead is not None:
            self.kalman_ahead = KalmanFilter.from_state(
                state.kalman_ahead, state.kalman_ahead_before
            )
        self.lost_bars = state.lost_bars
        self._note_usual_move()

    def rules(self, ts: int, noise: KalmanNoise) -> Rules | None:
        """How the next ticks enter by the loop; None where the next one is not plain.

        They stay the same until a tick is not plain: `take` forgets them.

        Args:
            ts: its event time.
            noise: the filter runs with it.
        """
        open_bars = self.window.main
        if not 0 <= ts - open_bars.newest_ts <= self._grace_ms:
            return None
        rules = self._rules
        if rules is None or rules.noise is not noise or rules.kalman is not self.kalman:
            rules = self._rules = self._rules_now(open_bars, noise)
        return rules

    def _rules_now(self, open_bars: OpenBars, noise: KalmanNoise) -> Rules | None:
        kalman = self.kalman
        if self.window.ahead is not None or self.lost_bars or not open_bars.bars:
            return None
        bar = open_bars.bars[-1]
        if kalman.last_ts < bar.ts_open or kalman.before[-1] < 0:
            return None
        return Rules(
            bar,
            kalman,
            noise,
            self._limits(open_bars),
            oldest_ts=open_bars.bars[0].ts_open,
            bar_ms=self._bar_ms,
            grace_ms=self._grace_ms,
        )

    @property
    def standing_rules(self) -> Rules | None:
        """Those of the last tick, if that was plain."""
        return self._rules

    def question(self, models: ModelSet) -> Question:
        """What plain ticks are answered from now."""
        return self._questions.of(self.window, self.window.main, models)

    def _limits(self, open_bars: OpenBars) -> Limits:
        """What is believed of ticks of the newest of these bars."""
        usual = self.window.usual_move
        before = self.window.last_close(open_bars)
        if before is None:
            return Limits(usual, math.inf, self._far, math.nan)
        bars = (open_bars.bars[-1].ts_open - before[0]) // self._bar_ms
        limit = self._limit if bars == 1 else limit_of(usual, bars)
        return Limits(usual, limit, self._far, math.log(before[1]))

    def take(self, tick: Tick, appended_ms: int | None, models: ModelSet) -> Observation:
        """Enter any tick. Does not block.

        Args:
            tick: the next one in the order of the offsets.
            appended_ms: when its record was appended to the log, epoch ms; None without a log.
            models: that serve; the filter runs with their noise.

        Returns:
            What is known just after it.
        """
        window, self._rules = self.window, None
        latest: OpenBar | None = None
        left_out = None
        place = window.place(tick.ts, appended_ms)
        dropped = 0
        if window.ahead is not None and (dropped := window.drop_ahead(tick.ts, place)):
            self.kalman_ahead = None
        closed: list[ClosedBar] = []
        jump = 0.0
        if place is Place.LATE:
            open_bars, kalman, left_out = window.main, self.kalman, LATE
        elif place is Place.AHEAD:
            open_bars, kalman, left_out, jump = self._enter_ahead(tick, appended_ms, models, closed)
        else:
            open_bars, kalman = window.main, self.kalman
            if open_bars.is_duplicate(tick):
                left_out = DUPLICATE
            else:
                latest, jump = self._add(tick, appended_ms, open_bars, kalman, models)
                closed = self._close()
        _, _, high, low, price, *_ = cast(tuple[Any, ...], open_bars.bars[-1].numbers.item())
        (level, velocity, *_), innovation, *_ = cast(tuple[Any, ...], kalman.numbers.item())
        log_price = math.log(price)
        limits = self._limits(open_bars)
        return Observation(
            tick=tick,
            left_out=left_out,
            bar=latest,
            price=price,
            log_price=log_price,
            log_high=math.log(high),
            log_low=math.log(low),
            level=level,
            velocity=velocity,
            innovation=innovation,
            limit=limits.step,
            far=limits.far,
            jump=jump,
            bar_jumped=abs(log_price - limits.log_before) > limits.step,
            question=self._questions.of(window, open_bars, models),
            closed=closed,
            history_lost=self.lost_bars > 0,
            dropped_ahead=dropped,
        )

    def _add(
        self,
        tick: Tick,
        appended_ms: int | None,
        open_bars: OpenBars,
        kalman: KalmanFilter,
        models: ModelSet,
    ) -> tuple[OpenBar | None, float]:
        """Enter a tick into these bars and this filter.

        Returns:
            Its bar if it is the latest tick of that, and the log return by which the price jumped.
        """
        bar, is_latest = open_bars.add(tick, appended_ms)
        if not is_latest:
            return None, 0.0
        usual_move = self.window.usual_move
        return bar, measure(bar, kalman, tick, models.noise, self._bar_ms, usual_move)

    def _close(self) -> list[ClosedBar]:
        """Move the bars that the watermark has passed into the window."""
        taken = self.window.main.take_closed()
        if not taken:
            return []
        closed = [self.window.append(bar) for bar in taken]
        self.lost_bars = max(0, self.lost_bars - len(closed))
        self._note_usual_move()
        return closed

    def _note_usual_move(self) -> None:
        """What is believed from now on, until another bar closes."""
        self._limit = limit_of(self.window.usual_move, 1)
        self._far = limit_of(self.window.usual_move, self._horizon_bars, FAR)

    def _enter_ahead(
        self,
        tick: Tick,
        appended_ms: int | None,
        models: ModelSet,
        closed: list[ClosedBar],
    ) -> tuple[OpenBars, KalmanFilter, str | None, float]:
        """Enter a tick ahead outside the window, or into it once its time is confirmed.

        Args:
            tick: which.
            appended_ms: when its record was appended.
            models: whose noise the filter runs with.
            closed: the bars that this closes are added here.

        Returns:
            The bars and the filter that the tick is answered from, why it is left out, and the
            log return by which the price jumped.
        """
        window = self.window
        if window.confirm_ahead(tick.ts, appended_ms):
            self._confirm(closed)
        ahead = window.ahead or window.begin_ahead(tick.ts)
        kalman = self.kalman_ahead
        if kalman is None:
            kalman = self.kalman_ahead = self.kalman.copy()
        if ahead.open_bars.is_duplicate(tick):
            return ahead.open_bars, kalman, DUPLICATE, 0.0
        ahead.count += 1
        _, jump = self._add(tick, appended_ms, ahead.open_bars, kalman, models)
        if window.confirm_ahead():
            self._confirm(closed)
            return window.main, self.kalman, None, jump
        leads = appended_ms is not None and tick.ts - appended_ms > self._grace_ms
        return ahead.open_bars, kalman, AHEAD if leads else None, jump

    def _confirm(self, closed: list[ClosedBar]) -> None:
        """Go on with the filter of the ticks ahead, whose bars the window has taken over."""
        if self.kalman_ahead is not None:
            self.kalman, self.kalman_ahead = self.kalman_ahead, None
        closed.extend(self._close())
