"""The forecasts at the closes of one symbol's bars, with their outcomes: one a bar."""

from __future__ import annotations

import math

import numpy as np

from stream_app.bars.closed_bars import ClosedBars
from stream_app.bars.message import bar_of_message, forecasts_of_message
from stream_app.messages.schemas import Bar, Prediction
from stream_app.offline.series import Series
from stream_app.prediction.outcomes import ClosedForecasts, Outcome, Outcomes
from stream_app.prediction.running import PUBLISHED, UNSHRUNK
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.track_record import ENSEMBLE


class Closes:
    """Meets the forecasts that the bars carry with what came, by the worker's own rule.

    Args:
        settings: of the pipeline.
        names: the members that must all have answered.
    """

    def __init__(self, settings: PredictionSettings, names: tuple[str, ...]) -> None:
        self._names = names
        self._levels = settings.interval_levels
        self._outcomes = Outcomes(
            horizon_ms=settings.horizon_ms,
            horizon_bars=settings.horizon_bars,
            horizon_by=settings.horizon_by,
        )
        self._bars = ClosedBars(capacity=settings.window_bars, bar_ms=settings.bar_ms)
        self._newest = -1
        self._made: dict[int, Prediction] = {}
        self._known: list[tuple[Prediction, Outcome]] = []

    def close(self, message: Bar, last: Prediction | None) -> None:
        """A bar was published.

        Args:
            message: the bar; one that was published before is passed over.
            last: the prediction at its last tick; None where it is not to be scored.
        """
        bar = bar_of_message(message)
        if bar is None or bar.ts_open <= self._newest:
            return
        self._newest = bar.ts_open
        said = forecasts_of_message(message)
        jumped = self._bars.append(bar).jumped
        if last is not None and said is not None and set(self._names) <= said.members.keys():
            self._made[bar.ts_open] = last
        outcome = self._outcomes.close(
            ClosedForecasts(bar.ts_open, math.log(bar.close), said, jumped)
        )
        if outcome is not None and (made := self._made.pop(outcome.ts_open, None)) is not None:
            self._known.append((made, outcome))

    def series(self) -> Series:
        """The forecasts whose outcome is known."""
        made = [each for each, _ in self._known]
        outcomes = [each for _, each in self._known]
        said = [each.forecasts for each in outcomes]
        levels = self._levels if made else ()
        return Series(
            ts=np.array([each.ts for each in made], dtype=np.int64),
            ts_open=np.array([each.ts_open for each in outcomes], dtype=np.int64),
            price=np.array([each.last_price for each in made]),
            outcome=np.array([each.log_return for each in outcomes]),
            forecasts={
                PUBLISHED: np.array([each.published for each in said], dtype=np.float64),
                UNSHRUNK: np.array([each.unshrunk for each in said], dtype=np.float64),
                **{
                    name: np.array([each.members[name] for each in said], dtype=np.float64)
                    for name in self._names
                },
            },
            weights={
                name: np.array([each.members[name].weight for each in made]) for name in self._names
            },
            shrinkage={
                ENSEMBLE: np.array([each.shrinkage for each in made]),
                **{
                    name: np.array([each.members[name].shrinkage for each in made])
                    for name in self._names
                },
            },
            intervals={
                level: np.array([each.intervals[number][1:] for each in said])
                for number, level in enumerate(levels)
            },
            volatility=np.array([each.volatility for each in said], dtype=np.float64),
        )
