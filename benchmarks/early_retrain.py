"""Whether retrains at drift alarms help: against as many at random times, and against none.

Two months of bars are retrained daily, as `stream-app backtest --retrain-every 1d` does. The
detectors of `stream-app drift` run over the scores, set to one false alarm in ten days, so that a
month has enough alarms. Then each month is predicted again with an extra retrain at each alarm, at
most one in six hours; and with as many at random bars, for each of the seeds. The windows are those
of the daily retrains: the filter's noise of the extra ones does not affect other trainings.

Trainings are cached in `--kept`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from harness import console, options, save, second, show
from prices import plain_settings
from rich.table import Table

from stream_app.clock import DAY_MS, HOUR_MS
from stream_app.drift.watch import DriftWatch
from stream_app.feed.files import read_ticks
from stream_app.models.catalog import CATALOG
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.forecasts import ForecastLog
from stream_app.offline.gating import Gate, VerdictCache
from stream_app.offline.predicting import Adoption, predict
from stream_app.offline.recording import Recording
from stream_app.offline.series import Series
from stream_app.offline.trained import Trained
from stream_app.offline.training_cache import TrainingCache, train_kept
from stream_app.offline.trainings import Trainings
from stream_app.offline.walk import as_records
from stream_app.offline.windows import NoiseFrom, retrain_windows
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.settings import PredictionSettings
from stream_app.scoring.skill import skill
from stream_app.terminal.steps import StepsView
from stream_app.training.job import TrainingJob
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import model_settings

FALSE_ALARM_DAYS: Final = 10.0
LEAST_APART_MS: Final = 6 * HOUR_MS
LATENCY_MS: Final = 10_000
SEEDS: Final = (1,)
SYMBOL: Final = "S"
STEPS: Final = ("bars", "kalman", "filter", "train", "gate")


@dataclass(frozen=True, kw_only=True)
class Month:
    """A file, and what its daily retrains gave."""

    recording: Recording
    settings: BacktestSettings
    daily: Sequence[Trained]
    kept: TrainingCache
    pool: TrainingPool

    @property
    def first(self) -> int:
        """From when on models serve, epoch ms."""
        return self.daily[0].retrain.ts + LATENCY_MS

    def early(self, times: Sequence[int]) -> list[Trained]:
        """More retrains, at these event times."""
        noises = [
            NoiseFrom(ts=each.retrain.ts + LATENCY_MS, noise=each.load().noise)
            for each in self.daily
        ]
        windows = retrain_windows(
            self.recording,
            self.settings.prediction,
            times=times,
            min_bars=self.settings.min_bars,
            noises={self.recording.symbols[0]: noises},
        )
        jobs = [
            TrainingJob(
                symbol=each.symbol, model=name, bars=each.bars, settings=self.settings.models
            )
            for each in windows.retrains
            for name in CATALOG
        ]
        with StepsView({"train": "early trainings"}, runs=1, console=console) as view:
            found = iter(
                train_kept(jobs, self.kept, self.pool.run_numbered, watch=view, step="train")
            )
        return [
            Trained(
                retrain=each,
                models={name: next(found) for name in CATALOG},
                settings=self.settings.models,
            )
            for each in windows.retrains
        ]

    def predicted(self, early: Iterable[Trained]) -> tuple[Series, list[Answer]]:
        """The forecasts at all bars' closes, and the answers without their predictions."""
        log = ForecastLog(
            self.settings.prediction,
            names=tuple(CATALOG),
            is_settled=self.recording.is_settled,
            score_from=self.first,
        )
        answers: list[Answer] = []

        def take(answer: Answer) -> None:
            log.take(answer.predictions, answer.bars)
            answers.append(Answer(bars=answer.bars, scores=answer.scores))

        predict(
            as_records(self.recording),
            self.settings.prediction,
            [
                Adoption(
                    symbol=each.retrain.symbol, ts=each.retrain.ts + LATENCY_MS, load=each.load
                )
                for each in (*self.daily, *early)
            ],
            on_answer=take,
        )
        return log.forecasts()[self.recording.symbols[0]].closes, answers


def month(file: Path, kept: Path, pool: TrainingPool) -> Month:
    settings = plain_settings(training_window_days=30.0)
    asked = BacktestSettings(
        prediction=PredictionSettings.of(settings),
        models=model_settings(settings),
        retrain_every_ms=DAY_MS,
        processes=settings.retrain_processes,
        min_bars=settings.min_training_bars,
        latency_ms=LATENCY_MS,
    )
    recording = Recording.of([read_ticks(file)])
    cache = TrainingCache(kept)
    with StepsView(dict.fromkeys(STEPS, "daily retrains"), runs=1, console=console) as view:
        learned = Trainings(
            asked,
            kept=cache,
            windows=None,
            gate=Gate(kept=VerdictCache(kept), judge=pool.judge_numbered),
            train=pool.run_numbered,
            watch=view,
        ).of(recording)
    return Month(recording=recording, settings=asked, daily=learned.served, kept=cache, pool=pool)


def alarms(answers: Iterable[Answer], bar_ms: int) -> list[int]:
    """When bars at which a detector alarms close, epoch ms, so far apart as retrains may be."""
    watch = DriftWatch(FALSE_ALARM_DAYS)
    found: list[int] = []
    for answer in answers:
        for score in answer.scores:
            for alarm in watch.take(score, score.source):
                at = alarm.ts + bar_ms
                if not found or at >= found[-1] + LEAST_APART_MS:
                    found.append(at)
    return found


def at_random(series: Series, count: int, bar_ms: int, seed: int) -> list[int]:
    """As many closes of bars, also so far apart."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for at in rng.permutation(series.ts_open).tolist():
        if len(found) < count and all(abs(at - other) >= LEAST_APART_MS for other in found):
            found.append(at)
    return sorted(at + bar_ms for at in found)


def figures(series: Series, base: Series) -> dict[str, float]:
    """Skill, and how much the squared error is above that of daily retrains alone."""
    out: dict[str, float] = {"n": float(len(series))}
    for name in ("published", "ensemble"):
        found = skill(series.forecasts[name], series.outcome)
        errors = np.square(series.outcome - series.forecasts[name])
        before = np.square(base.outcome - base.forecasts[name])
        more = errors - before
        out[f"{name} mse skill"] = found.mse_skill
        out[f"{name} more"] = float(more.mean() / before.mean())
        out[f"{name} t"] = float(more.mean() / (more.std() / np.sqrt(len(more)) or np.inf))
    return out


def measured(file: Path, kept: Path, pool: TrainingPool) -> dict[str, Any]:
    one = month(file, kept, pool)
    bar_ms = one.settings.prediction.bar_ms
    base, answers = one.predicted(())
    found: dict[str, Any] = {"never": {"retrains": len(one.daily)} | figures(base, base)}
    at = [ts for ts in alarms(answers, bar_ms) if ts > one.first]
    sides = {"at alarms": at} | {
        f"at random {seed}": at_random(base, len(at), bar_ms, seed) for seed in SEEDS
    }
    for name, times in sides.items():
        series, _ = one.predicted(one.early(times))
        found[name] = {"retrains": len(one.daily) + len(times)} | figures(series, base)
        console.print(file.name, name, found[name])
    return found


def table(file: str, found: dict[str, Any]) -> Table:
    out = Table("early retrains", title=file)
    for name in next(iter(found.values())):
        out.add_column(name, justify="right")
    for side, said in found.items():
        out.add_row(side, *(f"{value:.5g}" for value in said.values()))
    return out


def main() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kept", type=Path, default=Path("data/backtest"))
        second(parser)

    chosen, given = options(__doc__, add=add)
    results: dict[str, Any] = {}
    with TrainingPool(2) as pool:
        for file in (chosen.data, given.second):
            results[file.name] = measured(file, given.kept, pool)
            show(table(file.name, results[file.name]))
    save(chosen, results)


if __name__ == "__main__":
    main()
