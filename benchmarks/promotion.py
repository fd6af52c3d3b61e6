"""What the gate rejects: ordinary retrains of a month, which must pass, and broken models.

For each file and horizon it trains the four models once a day (or `--every` hours) on the trailing
window, as the worker does, and judges each version against the one before it. Then it breaks the
last version of the first file in five ways. Trainings are cached in `--kept`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

from harness import DATA, HERE, console, options, progress, save, show
from prices import month_pipeline, plain_settings, warm_pool
from rich.table import Table

from stream_app.bars.features import BarColumns
from stream_app.clock import DAY_MS
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG
from stream_app.offline.training_cache import TrainingCache, train_kept
from stream_app.settings import Settings
from stream_app.terminal.steps import StepsView
from stream_app.training import gate_job, job
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob, StandingChampion, judge_members, run_gate
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import model_settings

sys.path.insert(0, str(HERE.parent))
from tests.faulty import CHANGES, Changed, seeing_ahead

HORIZONS: Final = (1, 12)
MOST_REFUSED: Final = 0.01
OTHER: Final = DATA.with_name("gbpusd-m1-bid-2012-02.csv.gz")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A retrain at one time."""

    bars: BarColumns
    models: Mapping[str, TrainedModel]

    def judged_by(self, settings: Settings, champion: Version | None) -> GateJob:
        return GateJob(
            symbol="A",
            bars=self.bars,
            settings=model_settings(settings),
            weights=settings.ensemble_weights,
            artifacts={name: model.artifact for name, model in self.models.items()},
            data_to=min(model.data_to for model in self.models.values()),
            champion=None
            if champion is None
            else StandingChampion(
                artifacts={name: model.artifact for name, model in champion.models.items()},
                trained_to_ts=int(champion.bars.ts_last[-1]),
            ),
        )


def windows(bars: BarColumns, settings: Settings, every_ms: int) -> list[BarColumns]:
    """The trailing window at each retrain: at whole multiples of `every_ms` of event time."""
    cuts = [
        at
        for at in range(settings.min_training_bars, len(bars))
        if int(bars.ts_open[at]) // every_ms > int(bars.ts_open[at - 1]) // every_ms
    ]
    return [bars.slice(max(0, at - settings.window_bars), at) for at in cuts]


def trained(
    given: Sequence[BarColumns], models: ModelSettings, kept: TrainingCache, pool: TrainingPool
) -> list[Version]:
    jobs = [
        TrainingJob(symbol="A", model=name, bars=bars, settings=models)
        for bars in given
        for name in CATALOG
    ]
    with StepsView({"train": "trainings"}, runs=1, console=console) as view:
        done = iter(train_kept(jobs, kept, pool.run_numbered, watch=view, step="train"))
    return [Version(bars=bars, models={name: next(done) for name in CATALOG}) for bars in given]


def ordinary(
    versions: Sequence[Version], settings: Settings
) -> tuple[list[Verdict], list[tuple[int, str]]]:
    """Every version judged beside the last one that passed; and those that were refused."""
    verdicts, refused = [], []
    champion: Version | None = None
    with progress() as shown:
        for version in shown.track(versions, description="judged"):
            verdict = run_gate(version.judged_by(settings, champion))
            verdicts.append(verdict)
            if verdict.check is None:
                champion = version
            else:
                refused.append(
                    (int(version.bars.ts_last[-1]), f"{verdict.check}: {verdict.reason}")
                )
    return verdicts, refused


def broken(version: Version, before: Version, settings: Settings) -> dict[str, str]:
    """By fault, the check that refuses it; `passed` where none does."""
    job_of = version.judged_by(settings, before)
    models = job_of.settings
    members = {name: CATALOG[name].load(job_of.artifacts[name], models) for name in CATALOG}
    found = {
        fault: judge_members(
            job_of, {name: Changed(member, change) for name, member in members.items()}
        ).check
        for fault, change in CHANGES.items()
    }
    leaky = seeing_ahead(job.prepare)
    with mock.patch.object(job, "prepare", leaky), mock.patch.object(gate_job, "prepare", leaky):
        artifacts = {
            name: run_job(
                TrainingJob(symbol="A", model=name, bars=version.bars, settings=models)
            ).artifact
            for name in CATALOG
        }
        found["looks one bar ahead"] = run_gate(replace(job_of, artifacts=artifacts)).check
    old = {
        name: replace(model, data_to=int(before.bars.ts_last[-1]))
        for name, model in before.models.items()
    }
    stale = replace(version, models=old).judged_by(settings, before)
    found["stale data"] = run_gate(stale).check
    return {fault: check or "passed" for fault, check in found.items()}


def figures(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """How near the ordinary versions came to the bounds: the largest share of each."""
    near: dict[str, float] = {}
    for verdict in verdicts:
        said = verdict.figures
        for bound in ("r2", "next_bar", "size"):
            largest = max(
                said.get(f"{name}.{bound}", 0.0)
                for name in (*CATALOG, "ensemble")
                if name != "kalman"
            )
            near[bound] = max(near.get(bound, 0.0), largest / said[f"bound.{bound}"])
        worst = max(
            said.get(f"{name}.t", -9.0) for name in (*CATALOG, "ensemble") if name != "kalman"
        )
        near["t"] = max(near.get("t", -9.0), worst)
        near["champion.t"] = max(near.get("champion.t", -9.0), said.get("champion.t", -9.0))
    return near


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--every", type=float, default=24.0, help="hours between two retrains")
    parser.add_argument("--more", type=Path, nargs="*", default=[OTHER], help="other files")
    parser.add_argument("--kept", type=Path, default=Path("data/trainings"), help="kept trainings")


def main() -> None:
    chosen, given = options(__doc__, add=add)
    kept = TrainingCache(given.kept)
    result: dict[str, Any] = {"every_hours": given.every, "months": {}, "faults": {}}
    table = Table(title=f"Ordinary retrains, every {given.every:g} h")
    for name in ("file", "horizon", "retrains", "refused", "nearest to a bound", "worst t"):
        table.add_column(name)
    faults = Table(title="Broken versions: what refuses them")
    counted: Counter[str] = Counter()
    with warm_pool() as pool:
        for path in [chosen.data, *given.more]:
            for horizon in HORIZONS:
                settings = plain_settings(horizon_bars=horizon, training_window_days=30.0)
                bars = month_pipeline(path, plain_settings()).window.columns()
                cuts = windows(bars, settings, round(given.every * 3_600_000))
                cuts = cuts[:: max(1, len(cuts) // 4)] if chosen.quick else cuts
                began = time.perf_counter()
                versions = trained(cuts, model_settings(settings), kept, pool)
                verdicts, refused = ordinary(versions, settings)
                near = figures(verdicts)
                counted.update(retrains=len(verdicts), refused=len(refused))
                key = f"{path.name} horizon {horizon}"
                result["months"][key] = {
                    "retrains": len(verdicts),
                    "refused": [{"data_to": ts, "reason": why} for ts, why in refused],
                    "nearest": near,
                    "seconds": time.perf_counter() - began,
                }
                nearest = ", ".join(
                    f"{what} {near[what]:.0%}" for what in ("r2", "next_bar", "size")
                )
                table.add_row(
                    path.name,
                    str(horizon),
                    str(len(verdicts)),
                    str(len(refused)),
                    nearest,
                    f"{near['t']:.1f}; champion {near['champion.t']:.1f}",
                )
                if path == chosen.data:
                    by_day = next(
                        each
                        for each in reversed(versions[:-1])
                        if versions[-1].bars.ts_last[-1] - each.bars.ts_last[-1] >= DAY_MS - 600_000
                    )
                    result["faults"][str(horizon)] = broken(versions[-1], by_day, settings)
                    console.print(result["faults"])
                save(chosen, result)
    faults.add_column("fault")
    for horizon in result["faults"]:
        faults.add_column(f"horizon {horizon}")
    for fault in next(iter(result["faults"].values())):
        faults.add_row(fault, *(found[fault] for found in result["faults"].values()))
    share = counted["refused"] / counted["retrains"]
    show(table, faults, f"refused {share:.2%} of ordinary retrains; at most {MOST_REFUSED:.0%}")


if __name__ == "__main__":
    main()
