"""The figures that the gate judges, from artifacts and bars. Runs in a process of the pool.

It is the artifacts that are judged: what would serve, not what the trainers say of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.clock import DAY_MS
from stream_app.models.base import Member, ModelSettings, TrainingData
from stream_app.models.catalog import CATALOG
from stream_app.models.last_price import LastPriceMember
from stream_app.training.fit import (
    LINEAR_LAGS,
    Comparison,
    bounds,
    compare,
    fit_of,
    linear_r2,
)
from stream_app.training.gate import ENSEMBLE, Verdict, judge
from stream_app.training.job import prepare, serve

NEWEST_MS: Final = DAY_MS
"""Of the rows that the champion has not seen, the newest so many count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingChampion:
    """The version that serves. Picklable."""

    artifacts: Mapping[str, bytes]
    trained_to_ts: int
    """Event time of the last tick that it learned from, epoch ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateJob:
    """Judge one symbol's four new models. Picklable: it is sent to a pool process."""

    symbol: str
    bars: BarColumns
    """The window when its turn began."""
    settings: ModelSettings
    weights: Mapping[str, float]
    """Of the ensemble, by model."""
    artifacts: Mapping[str, bytes]
    """Of the challenger, by model."""
    data_to: int
    """Event time of the last tick that the oldest of the four models learned from, epoch ms."""
    champion: StandingChampion | None


def run_gate(job: GateJob) -> Verdict:
    """Let the members answer their own training rows, and judge them. Blocks for half a second.

    Raises:
        ArtifactError: an artifact of the challenger cannot be loaded.
        TrainingError: the bars are not usable.
    """
    return judge_members(job, _members(job.artifacts, job.settings))


def judge_members(job: GateJob, members: Mapping[str, Member]) -> Verdict:
    """The same for members that are loaded already.

    Args:
        job: its artifacts are not looked at.
        members: all of the challenger, by model.
    """
    data = prepare(job.bars, job.settings)
    rows, horizon = data.rows, job.settings.horizon_bars
    outcomes = data.target[rows].astype(np.float64)
    returns = np.diff(data.bars.log_close)
    next_bar = np.append(returns, np.nan)[rows]
    past = sliding_window_view(returns, LINEAR_LAGS)[rows - LINEAR_LAGS]
    answers = {
        name: serve(member, data, rows, job.settings)
        for name, member in members.items()
        if not isinstance(member, LastPriceMember)
    }
    together = _blend(answers, job.weights, len(rows))
    fits = {
        name: fit_of(values, outcomes, next_bar, horizon)
        for name, values in (*answers.items(), (ENSEMBLE, together))
    }
    return judge(
        fits,
        bounds(
            len(rows),
            horizon,
            linear=linear_r2(past, outcomes, horizon),
            linear_next=linear_r2(past, next_bar, 1),
        ),
        behind_s=(int(job.bars.ts_last[-1]) - job.data_to) / 1000,
        champion=None if job.champion is None else _beside(job, job.champion, data, together),
    )


def _members(artifacts: Mapping[str, bytes], settings: ModelSettings) -> dict[str, Member]:
    return {name: spec.load(artifacts[name], settings) for name, spec in CATALOG.items()}


def _blend(
    answers: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float], count: int
) -> NDArray[np.float64]:
    """The ensemble's forecasts, shape (count,); members that are left out answer 0."""
    return sum((weights[name] * values for name, values in answers.items()), np.zeros(count))


def _beside(
    job: GateJob, champion: StandingChampion, data: TrainingData, together: NDArray[np.float64]
) -> Comparison:
    """The newest day that the champion has not seen, as both ensembles forecast it."""
    ts_last = data.bars.ts_last[data.rows]
    newest = ts_last > max(champion.trained_to_ts, int(job.bars.ts_last[-1]) - NEWEST_MS)
    rows = data.rows[newest]
    answers = {
        name: serve(member, data, rows, job.settings) if len(rows) else np.zeros(0)
        for name, member in _members(champion.artifacts, job.settings).items()
    }
    return compare(
        together[newest],
        _blend(answers, job.weights, len(rows)),
        data.target[rows].astype(np.float64),
        job.settings.horizon_bars,
    )
