"""`stream-app backtest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from stream_app.commands.backtest_input import read_recording, require_some_between
from stream_app.commands.file_options import Reading, file_options, symbol_option
from stream_app.commands.number_type import FiniteRange
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.commands.output_file import keeping_in, require_output, write_output
from stream_app.commands.time_type import DurationType, TimeType
from stream_app.errors import TrainingError
from stream_app.models.catalog import CATALOG
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.progress import utc
from stream_app.terminal.steps import StepsView

if TYPE_CHECKING:
    from stream_app.offline.backtest import Backtest
    from stream_app.offline.backtest_settings import BacktestSettings
    from stream_app.offline.recording import Recording

_STEPS: Final = {
    "bars": "making the bars",
    "latency": "timing a turn",
    "kalman": "fitting the Kalman filter's noise",
    "filter": "running the filter",
    "train": "training the other models",
    "gate": "judging the models",
    "predict": "predicting",
    "check": "cutting the input",
}
"""With what is shown of them."""
_TRAINS: Final = ("latency", "kalman", "train", "gate")
_LONGEST_LATENCY_S: Final = 31_536_000
_NO_WIDTH: Final = 160
"""Columns where there is no terminal to fit into."""
_PREDICTS: Final = ("bars", "filter", "predict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line asks for, besides the settings."""

    every_ms: int
    latency_s: float | None
    begin: int | None
    end: int | None


@click.command(
    epilog="""\b
Examples:
  stream-app backtest prices.csv.gz --retrain-every 1d
  stream-app backtest btc.csv.gz eth.csv.gz --horizon 1 --horizon 12 --json
  stream-app backtest prices.csv.gz --from 2022-01-15 --html skill.html
"""
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@symbol_option
@click.option(
    "--retrain-every",
    "every_ms",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="Event time from one retrain to the next.",
)
@click.option(
    "--latency",
    "latency_s",
    type=FiniteRange(min=0, max=_LONGEST_LATENCY_S),
    metavar="SECONDS",
    help="How long after the start of a retrain its models serve. Default: as long as a retrain "
    "with the longest window takes on this machine, rounded up to ten seconds.",
)
@click.option(
    "--horizon",
    "horizons",
    type=click.IntRange(1, 288),
    multiple=True,
    metavar="BARS",
    help="Instead of HORIZON_BARS. Repeatable.",
)
@click.option(
    "--from",
    "begin",
    type=TimeType(),
    help="Score no forecast before this time. Models still learn from all earlier ticks.",
)
@click.option(
    "--to",
    "end",
    type=TimeType(),
    help="Score no forecast at or after this time, and do not retrain then.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write a page with charts, as one file.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Check that nothing looks ahead: cut the input at 20 random ticks; no prediction before a "
    "cut may change.",
)
@file_options
@config_option
@json_option
def backtest(
    *,
    files: tuple[Path, ...],
    symbol: str | None,
    every_ms: int,
    latency_s: float | None,
    horizons: tuple[int, ...],
    begin: int | None,
    end: int | None,
    html: Path | None,
    check: bool,
    reading: Reading,
    config: Path | None,
    as_json: bool,
) -> None:
    """Predict the ticks of FILES as a worker would have, with retrains, and score the forecasts.

    Scores one forecast per bar, at its close, against the last price, and separately those inside
    bars. Merges the files in order of event time. Caches trained models in DATA_DIR, so running
    the same command again trains nothing. docs/backtest.md explains the figures.
    """
    from stream_app.offline.gating import Gate, VerdictCache
    from stream_app.offline.report import summary
    from stream_app.offline.run import BacktestRun
    from stream_app.offline.training_cache import TrainingCache
    from stream_app.offline.window_cache import WindowCache
    from stream_app.training.pool import TrainingPool

    if begin is not None and end is not None and begin >= end:
        raise click.UsageError("--from is not before --to; nothing is left to score")
    if html is not None:
        require_output(html, "--html")
    settings = load_settings(config)
    log_to_stderr("WARNING")
    recording = read_recording(files, symbol, reading, settings.bar_seconds)
    require_some_between(recording, begin, end)
    choices = Choices(every_ms=every_ms, latency_s=latency_s, begin=begin, end=end)
    wanted = tuple(dict.fromkeys(horizons or (settings.horizon_bars,)))
    steps = _STEPS if check else {name: told for name, told in _STEPS.items() if name != "check"}
    found: dict[int, Backtest] = {}
    folder = settings.data_dir / "backtest"
    with (
        keeping_in(folder, settings.data_dir),
        TrainingPool(settings.retrain_processes) as pool,
        StepsView(steps, runs=len(wanted), console=Console(stderr=True)) as view,
    ):
        for horizon in wanted:
            asked = _settings(settings.model_copy(update={"horizon_bars": horizon}), choices)
            run = BacktestRun(
                settings=asked,
                kept=TrainingCache(folder),
                windows=WindowCache(folder),
                train=pool.run_numbered,
                gate=Gate(kept=VerdictCache(folder), judge=pool.judge_numbered),
                watch=view,
            )
            if check:
                found[horizon], result = run.checked(recording, seed=settings.model_seed)
                told = f"cut at {len(result.cuts)} random ticks: 0 of {result.compared:,} earlier"
                click.echo(f"backtest: {told} answers changed", err=True)
            else:
                found[horizon] = run.plain(recording)
            _tell(found[horizon], recording, choices)
    if as_json:
        trained = sum(view.seconds.get(name, 0.0) for name in _TRAINS)
        predicted = sum(view.seconds.get(name, 0.0) for name in _PREDICTS)
        print_json(summary(found, train_seconds=trained, predict_seconds=predicted))
    else:
        _print_tables(found)
    if html is not None:  # after the figures, which are not lost if the page is
        from stream_app.offline.page import page

        write_output(html, page(found, files=[path.name for path in files]), "--html")
        click.echo(f"backtest: charts are in {html}", err=True)


def _print_tables(found: Mapping[int, Backtest]) -> None:
    from stream_app.offline.tables import tables
    from stream_app.terminal.width import table_console

    console = table_console(_NO_WIDTH)
    for horizon, one in found.items():
        for name, forecasts in one.forecasts.items():
            if len(forecasts.closes):
                for table in tables(name, horizon, one):
                    console.print(table, "")  # with a line between


def _settings(settings: Settings, choices: Choices) -> BacktestSettings:
    from stream_app.offline.backtest_settings import BacktestSettings
    from stream_app.prediction.settings import PredictionSettings
    from stream_app.training.settings import model_settings

    given = choices.latency_s
    return BacktestSettings(
        prediction=PredictionSettings.of(settings),
        models=model_settings(settings),
        retrain_every_ms=choices.every_ms,
        processes=settings.retrain_processes,
        min_bars=settings.min_training_bars,
        latency_ms=None if given is None else round(given * 1000),
        score_from=choices.begin,
        score_to=choices.end,
    )


def _tell(found: Backtest, recording: Recording, choices: Choices) -> None:
    """Say what was done and not scored.

    Raises:
        TrainingError: nothing is scored.
    """
    for (symbol, ts), reason in found.refused.items():
        click.echo(f"backtest: {symbol}: not promoted at {utc(ts)}: {reason}", err=True)
    how = "measured" if choices.latency_s is None else "given"
    click.echo(
        f"backtest: {found.retrains} retrains; their models serve after "
        f"{found.latency_ms / 1000:g} s ({how})",
        err=True,
    )
    scored = [name for name, each in found.forecasts.items() if len(each.closes)]
    for name in recording.symbols:
        if scored and name not in scored:
            click.echo(f"backtest: {name}: nothing to score, it has too few bars", err=True)
    if scored:
        return
    served = min(since for versions in found.versions.values() for since, _ in versions)
    begin = served if choices.begin is None else max(served, choices.begin)
    end = int(recording.rows.ts[-1]) if choices.end is None else choices.end
    raise TrainingError(
        f"nothing to score: no forecast of all {len(CATALOG)} models from {utc(begin)} to "
        f"{utc(end)} has an outcome; models serve from {utc(served)}, and the files end at "
        f"{utc(int(recording.rows.ts[-1]))}; give a longer file, or other --from and --to"
    )
