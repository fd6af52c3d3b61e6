"""The last month's forecasts of a symbol with outcomes, and their figures over running spans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.clock import DAY_MS, HOUR_MS
from stream_app.messages.read_bars import Forecasts
from stream_app.messages.schemas import SkillFigures
from stream_app.prediction.outcomes import ClosedForecasts, Outcome, inside_of
from stream_app.scoring.skill import Skill, skills

UNSHRUNK: Final = "ensemble"
PUBLISHED: Final = "published"
LAST_PRICE: Final = "last_price"


class Span(NamedTuple):
    """A stretch of event time before the last full step of it."""

    name: str
    length_ms: int
    step_ms: int


class SpanFigures(NamedTuple):
    """What the forecasts of a span were worth."""

    skill: dict[str, SkillFigures]
    """By forecaster."""
    coverage: dict[str, float]
    """By level, the share of the outcomes that were inside."""


SPANS: Final = (
    Span("day", DAY_MS, HOUR_MS),
    Span("week", 7 * DAY_MS, DAY_MS),
    Span("month", 28 * DAY_MS, DAY_MS),
)
"""Worked out only at each step, which keeps a bar cheap."""


class RunningScores:
    """Keeps forecasts and outcomes, and scores them over each span.

    The figures depend only on the outcomes of the spans, so a restart that replays the closed bars
    gives the same.

    Args:
        names: of the models.
        levels: of the intervals.
        horizon_bars: how far ahead the forecasts look.
        bar_ms: length of a bar.
        window_bars: how many closed bars a restart goes through; no span reaches further back.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        levels: Iterable[float],
        horizon_bars: int,
        bar_ms: int,
        window_bars: int,
    ) -> None:
        self._levels = tuple(levels)
        self.names = (*names, UNSHRUNK, PUBLISHED)
        self._horizon_bars = horizon_bars
        reach_ms = (window_bars - horizon_bars - 1) * bar_ms
        self._spans = [
            span._replace(length_ms=min(span.length_ms, reach_ms - span.step_ms))
            for span in SPANS
            if span.step_ms < reach_ms
        ]
        self._capacity = (SPANS[-1].length_ms + DAY_MS) // bar_ms + 1
        self._ts = np.empty(0, dtype=np.int64)
        self._rows = np.empty((1 + len(self.names) + len(self._levels), 0), dtype=np.float32)
        """The outcome, each forecaster's forecast, and whether it was inside at each level: 1 or
        0; NaN where there was none."""
        self._end = 0
        self._made: dict[str, tuple[int, SpanFigures]] = {}

    def take(self, outcome: Outcome) -> None:
        """Remember what became of a bar's forecasts."""
        row = self._row(outcome.forecasts, outcome.log_return)
        if row is not None:
            self._put([outcome.ts_open], [row])

    def take_all(self, pairs: Iterable[tuple[ClosedForecasts, ClosedForecasts]]) -> None:
        """Remember what became of bars' forecasts, as `Outcomes.replay` gives them.

        It is what `take` remembers of one after the other.
        """
        stamps, rows = [], []
        for bar, later in pairs:
            if bar.forecasts is None:
                continue
            row = self._row(bar.forecasts, later.log_close - bar.log_close)
            if row is not None:
                stamps.append(bar.ts_open)
                rows.append(row)
        self._put(stamps, rows)

    def kept(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The bars' opening times, shape (N,), and what is remembered of each, shape (M, N).

        Views, valid until the next `take`.
        """
        return self._ts[: self._end], self._rows[:, : self._end]

    def take_kept(self, ts: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Take over what `kept` gave with the same names and levels. Nothing is remembered yet.

        Raises:
            ValueError: the arrays do not fit.
        """
        if rows.shape != (len(self._rows), len(ts)):
            raise ValueError("the outcomes do not fit the models and levels")
        self._ts, self._rows, self._end = ts, rows, len(ts)

    def _row(self, said: Forecasts, came: float) -> tuple[float, ...] | None:
        """What is kept of one outcome; None where a version made it that did not say enough."""
        if said.published is None or said.unshrunk is None:
            return None
        own = [said.members.get(name, math.nan) for name in self.names[:-2]]
        inside = inside_of(said, came)
        held = [inside.get(level, math.nan) for level in self._levels]
        return came, *own, said.unshrunk, said.published, *held

    def _put(self, stamps: Sequence[int], rows: Sequence[tuple[float, ...]]) -> None:
        done = 0
        while done < len(rows):
            if self._end == len(self._ts):
                self._make_room()
            count = min(len(rows) - done, len(self._ts) - self._end)
            end = self._end + count
            self._ts[self._end : end] = stamps[done : done + count]
            self._rows[:, self._end : end] = np.array(rows[done : done + count]).T
            done, self._end = done + count, end

    def _make_room(self) -> None:
        """Forget what no span reaches, and make the arrays an eighth longer than the rest."""
        first = max(0, self._end - self._capacity)
        kept = self._end - first
        size = kept + max(64, kept // 8)
        ts, rows = np.empty(size, np.int64), np.empty((len(self._rows), size), np.float32)
        ts[:kept], rows[:, :kept] = self._ts[first : self._end], self._rows[:, first : self._end]
        self._ts, self._rows, self._end = ts, rows, kept

    def figures(self) -> dict[str, SpanFigures]:
        """By span; one without outcomes is left out."""
        if not self._end:
            return {}
        newest = int(self._ts[self._end - 1])
        found = {}
        for span in self._spans:
            until = newest - newest % span.step_ms
            made = self._made.get(span.name)
            if made is None or made[0] != until:
                made = self._made[span.name] = until, self._worked_out(until, span.length_ms)
            if made[1].skill:
                found[span.name] = made[1]
        return found

    def _worked_out(self, until: int, length_ms: int) -> SpanFigures:
        first, end = np.searchsorted(self._ts[: self._end], (until - length_ms, until)).tolist()
        if first == end:
            return SpanFigures({}, {})
        outcome, *rows = self._rows[:, first:end].astype(np.float64)
        forecasts, inside = rows[: len(self.names)], rows[len(self.names) :]
        scored = np.array([*forecasts, np.zeros_like(outcome)])
        found = skills(scored, outcome, horizon_bars=self._horizon_bars)
        return SpanFigures(
            skill={
                name: _figures(each)
                for name, each in zip((*self.names, LAST_PRICE), found, strict=True)
                if each.n
            },
            coverage={
                str(level): float(np.nanmean(held))
                for level, held in zip(self._levels, inside, strict=True)
                if not np.isnan(held).all()
            },
        )


def _figures(found: Skill) -> SkillFigures:
    values = asdict(found)
    n = values.pop("n")
    return SkillFigures(
        n=n, **{name: None if math.isnan(each) else each for name, each in values.items()}
    )
