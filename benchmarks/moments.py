"""A month of bars as known at five moments of each bar: features, outcomes and the retrains.

A moment is the last tick of a fifth of a bar that does not reveal how its file's bar ends
(`offline/inside.py`): with one-minute files and bars of five, the minutes' closes. Windows, noises
and times of the retrains are those of `stream-app backtest`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from harness import progress
from numpy.typing import NDArray

from stream_app.bars.contexts import contexts
from stream_app.bars.features import FEATURES, LOOKBACK, BarColumns, vectors
from stream_app.clock import DAY_MS
from stream_app.feed.files import read_ticks
from stream_app.models.base import Member, ModelSettings
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import noise_of
from stream_app.models.model_set import untrained
from stream_app.offline.inside import PARTS
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import TrainingCache, train_kept
from stream_app.offline.watch import Unwatched
from stream_app.offline.windows import NoiseFrom, retrain_windows
from stream_app.prediction.intake import Intake
from stream_app.prediction.settings import PredictionSettings
from stream_app.settings import Settings, load_settings
from stream_app.training.job import TrainingJob, run_job
from stream_app.training.settings import model_settings

FloatArray = NDArray[np.float64]

KEPT: Final = Path(tempfile.gettempdir()) / "stream-app-accuracy" / "backtest"
"""Where `accuracy.py` keeps its trainings too."""
SYMBOL: Final = "A"
LATENCY_MS: Final = 10_000
LAST: Final = PARTS - 1
"""The moment that is the bar's close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """What was learned from at one time, and since when it serves."""

    since: int
    """Event time, epoch ms."""
    first: int
    """The window's first bar, and the one after its last."""
    end: int
    kalman: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """N bars. Arrays of moments begin with the shape (PARTS, N); NaN where there was none."""

    name: str
    bars: BarColumns
    features: NDArray[np.float32]
    """Shape (PARTS, N, FEATURES)."""
    ts: NDArray[np.int64]
    """Event time of the moment, 0 where there was none."""
    log_price: FloatArray
    level: FloatArray
    velocity: FloatArray
    volume: FloatArray
    """Of the bar so far."""
    retrains: Sequence[Retrain]
    middle: int
    """Event time from which on forecasts are scored, epoch ms."""
    bar_ms: int

    def __len__(self) -> int:
        return len(self.bars)

    def served(self) -> list[tuple[Retrain, int, int]]:
        """Each daily window, and the event times between which what it taught is scored, ms.

        From the first on, and before the last; the windows of the first half are left out.
        """
        until = [*(each.since for each in self.retrains[1:]), int(self.ts.max()) + 1]
        return [
            (retrain, max(retrain.since, self.middle), end)
            for retrain, end in zip(self.retrains, until, strict=True)
            if end > self.middle
        ]

    def outcomes(self, horizon_bars: int) -> FloatArray:
        """The log return from each moment to the newest moment at or before the horizon's end.

        NaN where that is a bar old or more, as `offline/inside.py` has it.
        """
        at = np.flatnonzero(self.ts.T.ravel())
        ts, price = self.ts.T.ravel()[at], self.log_price.T.ravel()[at]
        end = ts + horizon_bars * self.bar_ms
        newest = np.searchsorted(ts, end, side="right") - 1
        known = (ts[newest] > np.maximum(ts, end - self.bar_ms)) & (end <= ts[-1])
        found = np.full(self.ts.size, np.nan)
        found[at] = np.where(known, price[newest] - price, np.nan)
        return found.reshape(self.ts.T.shape).T.copy()

    def closes(self, horizon_bars: int) -> FloatArray:
        """The log return from each bar's close to that of the bar at the horizon; shape (N,)."""
        wanted = self.bars.ts_open + horizon_bars * self.bar_ms
        at = np.searchsorted(self.bars.ts_open, wanted)
        at[at == len(self)] = 0
        known = self.bars.ts_open[at] == wanted
        return np.where(known, self.bars.log_close[at] - self.bars.log_close, np.nan)


def month(file: Path, *, settings: Settings) -> Month:
    """Read a file and run the filter over it as a backtest does, retrained daily. Blocks."""
    recording = Recording.of([read_ticks(file, symbol=SYMBOL)])
    prediction, models = PredictionSettings.of(settings), model_settings(settings)
    ts = recording.rows.ts
    times = range(int(ts[0]) - int(ts[0]) % DAY_MS + DAY_MS, int(ts[-1]) + 1, DAY_MS)
    windows = retrain_windows(
        recording, prediction, times=times, min_bars=settings.min_training_bars, noises={}
    )
    kalmans = _kalmans([each.bars for each in windows.retrains], models)
    since = [ts + LATENCY_MS for _, ts, _, _ in windows.cuts]
    noises = [
        NoiseFrom(ts=at, noise=noise_of(each)) for at, each in zip(since, kalmans, strict=True)
    ]
    known = _known(recording, prediction, noises)
    bars, rest = _joined(known, prediction.bar_ms)
    return Month(
        name=file.name.split(".")[0],
        bars=bars,
        retrains=[
            Retrain(since=at, first=first, end=end, kalman=each)
            for at, (_, _, first, end), each in zip(since, windows.cuts, kalmans, strict=True)
        ],
        middle=int(ts[0] + (ts[-1] - ts[0]) // 2),
        bar_ms=prediction.bar_ms,
        **rest,
    )


def _kalmans(windows: Sequence[BarColumns], models: ModelSettings) -> list[Member]:
    jobs = [
        TrainingJob(symbol=SYMBOL, model=KALMAN, bars=bars, settings=models) for bars in windows
    ]

    def here(left: Sequence[TrainingJob]) -> Any:
        with progress() as shown:
            yield from enumerate(map(run_job, shown.track(left, description="Kalman noise")))

    done = train_kept(jobs, TrainingCache(KEPT), here, watch=Unwatched(), step="kalman")
    return [CATALOG[KALMAN].load(each.artifact, models) for each in done]


_KNOWN: Final = (
    "ts", "log_price", "log_high", "log_low", "level", "velocity", "innovation", "volume",
)  # fmt: skip


def _known(
    recording: Recording, settings: PredictionSettings, noises: Sequence[NoiseFrom]
) -> dict[str, FloatArray]:
    """What was known at each settled tick, in columns."""
    intake, serving = Intake(settings), untrained(settings.horizon_bars)
    left = list(reversed(noises))
    rows = []
    with progress() as shown:
        for tick, settled in shown.track(
            zip(recording, recording.is_settled.tolist(), strict=True),
            total=len(recording),
            description="ticks",
        ):
            while left and tick.ts >= left[-1].ts:
                serving = replace(serving, noise=left.pop().noise)
            seen = intake.take(tick, tick.ts, serving)
            if settled and seen.bar is not None:
                rows.append(
                    (tick.ts, seen.log_price, seen.log_high, seen.log_low, seen.level,
                     seen.velocity, seen.innovation, seen.bar.volume)
                )  # fmt: skip
    return dict(zip(_KNOWN, np.array(rows).T, strict=True))


def _joined(known: dict[str, FloatArray], bar_ms: int) -> tuple[BarColumns, dict[str, Any]]:
    """The closed bars, and the moments with their features. The newest bar is left out."""
    ts = known["ts"].astype(np.int64)
    opened, bar_of = np.unique(ts - ts % bar_ms, return_inverse=True)
    count = len(opened) - 1
    part = ts * PARTS // bar_ms % PARTS
    shape = (PARTS, count)
    at = np.full(shape, -1)
    kept = bar_of < count
    at[part[kept], bar_of[kept]] = np.flatnonzero(
        kept
    )  # the last tick of a part is the last written
    last = np.searchsorted(bar_of, np.arange(count), side="right") - 1
    at[LAST] = last
    there = at >= 0
    moments = {name: np.where(there, values[at], np.nan) for name, values in known.items()}
    bars = BarColumns(
        ts_open=opened[:count],
        ts_last=ts[last],
        log_close=known["log_price"][last],
        log_high=known["log_high"][last],
        log_low=known["log_low"][last],
        kalman_velocity=known["velocity"][last],
        kalman_innovation=known["innovation"][last],
        log_jump=np.zeros(count),
    )
    context = contexts(bars.log_close[:-1], bars.log_high[:-1], bars.log_low[:-1])
    features = np.full((*shape, FEATURES), np.nan, dtype=np.float32)
    moments["ts"] = np.where(there, ts[at], 0)
    for number in range(PARTS):
        given = {
            name: np.ascontiguousarray(each[number, LOOKBACK:]) for name, each in moments.items()
        }
        features[number, LOOKBACK:] = vectors(
            context,
            given["ts"],
            np.array(
                [
                    given["log_price"],
                    given["log_high"],
                    given["log_low"],
                    given["velocity"],
                    given["innovation"],
                    np.full(count - LOOKBACK, np.inf),
                ]
            ),
        )
        features[number, ~there[number]] = np.nan
    names = ("ts", "log_price", "level", "velocity", "volume")
    return bars, {"features": features, **{name: moments[name] for name in names}}


Columns = Callable[[Month], NDArray[np.float32]]
"""Features beside the product's, shape (PARTS, N, E)."""


def default_settings(**given: Any) -> Settings:
    """The defaults."""
    return load_settings(**given)
