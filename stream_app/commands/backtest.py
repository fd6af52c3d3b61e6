"""`stream-app backtest`."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stream_app.commands.file_options import Reading, file_options, symbol_option
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.errors import TrainingError
from stream_app.models.catalog import CATALOG
from stream_app.offline.window import counting
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr

if TYPE_CHECKING:
    from stream_app.feed.files import TickFile
    from stream_app.offline.backtest import Backtest
    from stream_app.scoring.skill import Skill
    from stream_app.training.pool import TrainingPool

_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PASSES: Final = ("bars", "filter", "predict")
"""Over the ticks, by the names that `run_backtest` reports."""


class _Duration(click.ParamType):
    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        given = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
        if given is None:
            self.fail(f"{value!r} is no duration; give one such as 30m, 1h or 1d", param, ctx)
        return int(given[1]) * _UNIT_MS[given[2]]


@click.command(
    epilog="""\b
Examples:
  stream-app backtest prices.csv.gz --retrain-every 1d
  stream-app backtest prices.csv.gz --horizon 1 --horizon 12 --json
"""
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@symbol_option
@click.option(
    "--retrain-every",
    "every_ms",
    type=_Duration(),
    default="1h",
    show_default=True,
    help="Event time from one retrain to the next.",
)
@click.option(
    "--latency",
    "latency_s",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long after a retrain begins its models serve.",
)
@click.option(
    "--horizon",
    "horizons",
    type=click.IntRange(1, 288),
    multiple=True,
    metavar="BARS",
    help="Instead of HORIZON_BARS. Repeatable.",
)
@file_options
@config_option
@json_option
def backtest(
    *,
    files: tuple[Path, ...],
    symbol: str | None,
    every_ms: int,
    latency_s: float,
    horizons: tuple[int, ...],
    reading: Reading,
    config: Path | None,
    as_json: bool,
) -> None:
    """Predict the ticks of FILES as a worker would have, with retrains, and score the forecasts.

    One forecast a bar is scored, at its close, beside saying nothing, which is the last price.
    What was trained is kept below DATA_DIR: the same command again trains nothing.
    """
    from stream_app.training.pool import TrainingPool

    settings = load_settings(config)
    log_to_stderr("WARNING")
    read = reading.read(files, symbol=symbol, command="backtest", bar_seconds=settings.bar_seconds)
    found: dict[int, Backtest] = {}
    began = time.monotonic()
    with TrainingPool(settings.retrain_processes) as pool:
        for horizon in horizons or (settings.horizon_bars,):
            chosen = settings.model_copy(update={"horizon_bars": horizon})
            found[horizon] = _run(read, chosen, pool, every_ms, round(latency_s * 1000))
    summary = _summary(found, read, time.monotonic() - began)
    if as_json:
        print_json(summary)
        return
    console = Console()
    for horizon, one in found.items():
        for name, series in one.series.items():
            console.print(_table(name, horizon, series.scores(horizon), one.retrains))


def _run(
    read: TickFile, settings: Settings, pool: TrainingPool, every_ms: int, latency_ms: int
) -> Backtest:
    from stream_app.offline.backtest import BacktestSettings, run_backtest
    from stream_app.offline.training_cache import TrainingCache
    from stream_app.prediction.settings import PredictionSettings
    from stream_app.training.settings import model_settings

    with counting(Console(stderr=True)) as progress:
        tasks = {name: progress.add_task(name, total=read.count) for name in _PASSES}
        trainings = progress.add_task("train", total=None)

        def on_progress(step: str, count: int) -> None:
            progress.advance(tasks.get(step, trainings), count)

        found = run_backtest(
            lambda: iter(read.ticks),
            BacktestSettings(
                prediction=PredictionSettings.of(settings),
                models=model_settings(settings),
                retrain_every_ms=every_ms,
                latency_ms=latency_ms,
                min_bars=settings.min_training_bars,
            ),
            kept=TrainingCache(settings.data_dir / "backtest"),
            train=pool.run_numbered,
            on_progress=on_progress,
        )
    if not any(len(series.outcome) for series in found.series.values()):
        raise TrainingError(
            f"{read.paths[0]}: no forecast of all {len(CATALOG)} models has an outcome in the "
            "file; give a longer one"
        )
    return found


def _summary(found: dict[int, Backtest], read: TickFile, seconds: float) -> dict[str, Any]:
    symbols: dict[str, Any] = {}
    for horizon, one in found.items():
        for name, series in one.series.items():
            scores = {each: asdict(score) for each, score in series.scores(horizon).items()}
            last_price = scores.pop("last_price")
            symbols.setdefault(name, {"horizons": {}})["horizons"][str(horizon)] = {
                "n": last_price["n"],
                "last_price": {key: last_price[key] for key in ("mae", "mse")},
                "published": scores.pop("published"),
                "ensemble": scores.pop("ensemble"),
                "members": scores,
            }
    return {
        "input": read.understood.as_dict(),
        "symbols": symbols,
        "retrains": sum(one.retrains for one in found.values()),
        "seconds": {
            "total": round(seconds, 3),
            "train": round(sum(one.train_seconds for one in found.values()), 3),
        },
    }


def _table(name: str, horizon: int, scores: dict[str, Skill], retrains: int) -> Table:
    table = Table(
        title=f"{escape(name)}, {horizon} bars ahead: {scores['last_price'].n} forecasts, "
        f"{retrains} retrains",
        title_justify="left",
        caption="skill: 1 - error / the last price's error; t above 2 is more than chance",
        caption_justify="left",
    )
    table.add_column("forecast")
    for heading in ("MAE skill", "MSE skill", "hit rate", "Clark-West t"):
        table.add_column(heading, justify="right")
    for label, score in scores.items():
        if label != "last_price":
            table.add_row(
                label,
                f"{100 * score.mae_skill:+.3f} %",
                f"{100 * score.mse_skill:+.3f} %",
                f"{100 * score.hit_rate:.1f} %",
                f"{score.cw_t:+.2f}",
            )
    return table
