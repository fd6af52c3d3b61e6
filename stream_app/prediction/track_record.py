"""What a symbol's forecasts have been worth, and what follows from it for the next one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from stream_app.bars.closed_bars import ClosedBar
from stream_app.bars.features import BarColumns
from stream_app.messages.schemas import BarForecasts, Score, Source
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.prediction.bias import BiasCorrection
from stream_app.prediction.harm import HarmTest
from stream_app.prediction.intervals import Bound, IntervalTrackers, returns_of
from stream_app.prediction.outcomes import ClosedForecasts, Outcome, Outcomes
from stream_app.prediction.published import Corrections, Forming, Published
from stream_app.prediction.recalled import RecalledRecord
from stream_app.prediction.running import LAST_PRICE, PUBLISHED, UNSHRUNK, RunningScores
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.shrinkage import EnsembleShrinkage, HarmShrinkage, MemberShrinkage
from stream_app.prediction.volatility import VolatilityForecast
from stream_app.scoring.chance import recent_outcomes

ENSEMBLE: Final = "ensemble"
"""Among the names of factors and of what was learned, as HARM and _RECENT; no model has them."""
HARM: Final = "harm"
_RECENT: Final = "ensemble, recent"


class TrackRecord:
    """The forecasts of one symbol, their outcomes, and the corrections that follow from them.

    `corrections` are what `published.py` applies at each tick. When a bar closes, its last tick's
    forecasts begin to wait for their outcome, and those of one horizon before meet theirs
    (`close`).
    """

    def __init__(self, settings: PredictionSettings) -> None:
        self.names = tuple(settings.weights)
        self._is_shrunk = settings.shrinkage
        self._outcomes = Outcomes(
            horizon_ms=settings.horizon_ms,
            horizon_bars=settings.horizon_bars,
            horizon_by=settings.horizon_by,
        )
        self._levels = tuple(settings.interval_levels)
        self._forming: dict[int, Forming] = {}
        """By opening time of the open bars, what was published at their last tick so far."""
        self._restored: dict[int, BarForecasts] = {}
        """The same from before a restart."""
        self.bias = BiasCorrection(horizon_bars=settings.horizon_bars)
        self._recalled: deque[float] = deque(maxlen=recent_outcomes(settings.horizon_bars))
        """Earlier errors that `bias` has not been given yet."""
        self._members = {
            name: MemberShrinkage(
                horizon_bars=settings.horizon_bars, memory_bars=settings.window_bars
            )
            for name in self.names
        }
        self._ensemble = EnsembleShrinkage(
            horizon_bars=settings.horizon_bars, memory_bars=settings.window_bars
        )
        self._running = RunningScores(
            self.names,
            levels=settings.interval_levels,
            horizon_bars=settings.horizon_bars,
            bar_ms=settings.bar_ms,
            window_bars=settings.window_bars,
        )
        self._harm = HarmTest(horizon_bars=settings.horizon_bars, bar_ms=settings.bar_ms)
        self._horizon_s = settings.horizon_ms // 1000
        self.factors = [1.0] * len(self.names)
        """Of the members, in the ensemble's order."""
        self.factor = 1.0
        """Of the ensemble."""
        self._in_force: Corrections | None = None
        """Those that were asked for last; None where they have changed."""
        self._note_factors()
        noise = KalmanNoise()
        self.volatility = VolatilityForecast(
            bar_ms=settings.bar_ms,
            horizon_bars=settings.horizon_bars,
            start=math.sqrt(noise.q_level + noise.q_velocity / 3.0),
        )
        self._intervals = IntervalTrackers(
            levels=settings.interval_levels, horizon_bars=settings.horizon_bars
        )

    def _note_factors(self) -> None:
        if self._is_shrunk:
            self.factors = [each.factor for each in self._members.values()]
            self.factor = self._ensemble.factor

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """Of the intervals, in force."""
        return self._intervals.bounds

    def corrections(self, ts_open: int, trained_to: int) -> Corrections:
        """What is in force for the ticks of one bar.

        Args:
            ts_open: when the bar opens, epoch ms.
            trained_to: event time of the last tick that the models learned from, epoch ms; or
                NEVER.
        """
        bar, known = self.volatility.bar_at(ts_open), self._in_force
        if known is None or known.volatility is not bar or known.trained_to != trained_to:
            known = self._in_force = Corrections(
                bar,
                trained_to,
                bias=self.bias.value,
                factor=self.factor if self._is_shrunk else None,
                factors=self.factors,
                bounds=self._intervals.bounds,
            )
        return known

    def forming(self, ts_open: int) -> Forming:
        """Where to note what is published at what is so far the last tick of a bar."""
        found = self._forming.get(ts_open)
        if found is None:
            found = Forming(members=len(self.names), levels=self._levels)
            self._forming[ts_open] = found
        return found

    def close(self, closed: ClosedBar) -> tuple[BarForecasts | None, Outcome | None]:
        """A bar has closed: learn from it, and from the outcome that it reveals.

        Returns:
            What was forecast at the closed bar's last tick, if anything was, and the outcome.
        """
        self._in_force = None
        ts_open, log_close = closed.bar.ts_open, math.log(closed.bar.close)
        forecasts = self._taken(ts_open)
        outcome = self._outcomes.close(
            ClosedForecasts(ts_open, log_close, forecasts, closed.jumped)
        )
        self.learn_volatility(closed)
        if outcome is not None:
            self.bias.take([outcome.error])
            self._shrink(outcome)
            self._running.take(outcome)
            published = outcome.forecasts.published
            if published is not None:
                self._harm.take(outcome.ts_open, published, outcome.log_return)
            self._judge_intervals(outcome)
        return forecasts, outcome

    def score(self, symbol: str, outcome: Outcome, closed: ClosedBar, source: Source) -> Score:
        """What became of a bar's forecasts, with the figures and factors as they are now.

        Args:
            symbol: whose.
            outcome: of the forecasts.
            closed: the bar that revealed it.
            source: the tick that closed it.
        """
        said = outcome.forecasts
        forecasts: dict[str, float | None] = {
            **said.members,
            UNSHRUNK: said.unshrunk,
            PUBLISHED: said.published,
            LAST_PRICE: 0.0,
        }
        running = self._running.figures()
        factors = dict(zip(self.names, self.factors, strict=True))
        return Score(
            symbol=symbol,
            ts_open=outcome.ts_open,
            ts_target=outcome.ts_target,
            horizon_s=self._horizon_s,
            last_price=math.exp(outcome.log_close),
            outcome=math.exp(outcome.log_close + outcome.log_return),
            errors={
                name: outcome.log_return - forecast
                for name, forecast in forecasts.items()
                if forecast is not None
            },
            shrinkage=factors | {ENSEMBLE: self.factor},
            inside={str(level): held for level, held in outcome.inside().items()},
            coverage={span: figures.coverage for span, figures in running.items()},
            running={span: figures.skill for span, figures in running.items()},
            harm=self._harm.e_value,
            source=source,
            prediction=None
            if said.published is None
            else math.exp(outcome.log_close + said.published),
            volatility=said.volatility,
            innovation=closed.bar.kalman_innovation,
        )

    def learn_volatility(self, closed: ClosedBar) -> None:
        """A bar has closed, or is one of a restore whose state says nothing of the volatility."""
        self.volatility.close(
            closed.bar.ts_open,
            math.log(closed.high),
            math.log(closed.low),
            math.log(closed.bar.close),
            jumped=closed.jumped,
        )

    def _judge_intervals(self, outcome: Outcome) -> None:
        said = outcome.forecasts
        if said.volatility is not None and said.published is not None:
            self._intervals.take(
                outcome.log_return,
                published=said.published,
                volatility=said.volatility,
                intervals=said.intervals,
            )

    def _taken(self, ts_open: int) -> BarForecasts | None:
        restored = self._restored.pop(ts_open, None)
        forming = self._forming.pop(ts_open, None)
        return restored if forming is None else self._forecasts(forming.published())

    def _forecasts(self, published: Published) -> BarForecasts:
        price = published.price
        said = math.log(published.prediction / price)
        return BarForecasts(
            members={
                name: math.log(each / price)
                for name, each in zip(self.names, published.own, strict=True)
                if not math.isnan(each)
            },
            unshrunk=math.log(published.unshrunk / price),
            mean=math.log(published.mean / price),
            ensemble=math.log(published.ensemble / price),
            published=said,
            intervals=returns_of(published.bounds, published=said, volatility=published.volatility),
            volatility=published.volatility,
        )

    def _shrink(self, outcome: Outcome) -> None:
        for name, forecast in outcome.forecasts.members.items():
            if name in self._members:
                self._members[name].take(forecast, outcome.log_return)
        if outcome.forecasts.mean is not None:
            self._ensemble.take(outcome.forecasts.mean, outcome.log_return)
        self._note_factors()

    def open_forecasts(self) -> list[tuple[int, BarForecasts]]:
        """What a restart needs besides the closed bars: the forecasts of the open ones."""
        forming = {ts: self._forecasts(each.published()) for ts, each in self._forming.items()}
        return list((self._restored | forming).items())

    def sums(self) -> dict[str, list[float]]:
        """What a restart needs of what was learned, as JSON."""
        shrinkage = {name: list(each.sums) for name, each in self._shrinkages()}
        return {**shrinkage, HARM: self._harm.state()}

    def _shrinkages(self) -> Iterator[tuple[str, MemberShrinkage | HarmShrinkage]]:
        yield from self._members.items()
        yield ENSEMBLE, self._ensemble.long
        yield _RECENT, self._ensemble.recent

    def interval_state(self) -> dict[str, Any]:
        """What a restart needs of the intervals, as JSON."""
        return {"volatility": self.volatility.state(), "trackers": self._intervals.state()}

    def recall(self, closed: Sequence[ClosedForecasts]) -> None:
        """Replay earlier closed bars, oldest first; `restore` must follow."""
        pairs = self._outcomes.replay(closed)
        self._recalled.extend(
            later.log_close - bar.log_close - bar.forecasts.ensemble
            for bar, later in pairs
            if bar.forecasts is not None
        )
        self._running.take_all(pairs)

    def recalled(self) -> RecalledRecord:
        """What `recall` has built since the beginning: views, valid until it is called again."""
        return RecalledRecord(*self._running.kept(), self._outcomes.waiting, self._recalled)

    def take_recalled(self, recalled: RecalledRecord) -> None:
        """Take over what `recalled` gave with the same settings. Nothing was recalled yet."""
        self._running.take_kept(recalled.scored_ts, recalled.scored)
        self._outcomes.waiting.extend(recalled.waiting)
        self._recalled.extend(recalled.errors)

    def recall_volatility(self, bars: BarColumns) -> None:
        """Learn the volatility from the window's bars, where a state says nothing of it."""
        for ts_open, log_high, log_low, log_close, log_jump in zip(
            bars.ts_open.tolist(),
            bars.log_high.tolist(),
            bars.log_low.tolist(),
            bars.log_close.tolist(),
            bars.log_jump.tolist(),
            strict=True,
        ):
            self.volatility.close(ts_open, log_high, log_low, log_close, jumped=log_jump != 0.0)

    def restore(
        self,
        open_forecasts: Iterable[tuple[int, BarForecasts]],
        sums: Mapping[str, Sequence[float]],
        intervals: Mapping[str, Any],
    ) -> None:
        """Take over what was, but for the volatility, which does not depend on the horizon.

        Args:
            open_forecasts: as `open_forecasts` gave them when the last bar closed, or later.
            sums: as `sums` gave them then.
            intervals: as `interval_state` gave it; may be empty.
        """
        self._in_force = None
        self.bias.take(self._recalled)  # at once: it averages them again each time
        self._recalled.clear()
        self._restored = dict(open_forecasts)
        for name, shrinkage in self._shrinkages():
            if name in sums:
                shrinkage.restore(sums[name])
        if HARM in sums:
            self._harm.restore(sums[HARM])
        self._note_factors()
        if intervals:
            self._intervals.restore(intervals["trackers"])
