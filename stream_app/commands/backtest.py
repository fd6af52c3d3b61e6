"""`stream-app backtest`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from stream_app.commands.file_options import Reading, file_options, symbol_option
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.commands.time_type import DurationType, TimeType
from stream_app.errors import LookAheadError, TrainingError
from stream_app.models.catalog import CATALOG
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.progress import utc
from stream_app.terminal.steps import StepsView

if TYPE_CHECKING:
    from rich.table import Table

    from stream_app.offline.backtest import Backtest, BacktestSettings
    from stream_app.offline.recording import Recording
    from stream_app.offline.training_cache import TrainingCache
    from stream_app.prediction.pipeline import Answer
    from stream_app.training.pool import TrainingPool

CHECK: Final = "check"
_STEPS: Final = {
    "bars": "making the bars",
    "latency": "timing a turn",
    "kalman": "fitting the Kalman filter's noise",
    "filter": "running the filter",
    "train": "training the other models",
    "predict": "predicting",
    CHECK: "cutting the input",
}
"""With what is shown of them."""
_TRAINS: Final = ("latency", "kalman", "train")
_PREDICTS: Final = ("bars", "filter", "predict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line asks for, beside the settings."""

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
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long after a retrain begins its models serve; default: as long as a turn with the "
    "longest window takes here, in full ten seconds.",
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
    help="Score no forecast before this time. Models learn from all ticks before all the same.",
)
@click.option(
    "--to", "end", type=TimeType(), help="Score no forecast at or after this time, nor retrain."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write a page with charts, complete in itself.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Cut the input at 20 random ticks; no answer before a cut may change.",
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

    One forecast a bar is scored, at its close, beside saying nothing, which is the last price;
    and apart from that those inside bars. Files are merged in order of event time. What was
    trained is kept below DATA_DIR: the same command again trains nothing.
    """
    from stream_app.offline.report import summary
    from stream_app.offline.training_cache import TrainingCache
    from stream_app.training.pool import TrainingPool

    if begin is not None and end is not None and begin >= end:
        raise click.UsageError("--from is not before --to; nothing is left to score")
    if html is not None and not html.absolute().parent.is_dir():
        raise click.UsageError(f"--html {html}: no such folder; make it first")
    settings = load_settings(config)
    log_to_stderr("WARNING")
    recording = _read(files, symbol, reading, settings)
    choices = Choices(every_ms=every_ms, latency_s=latency_s, begin=begin, end=end)
    wanted = tuple(dict.fromkeys(horizons or (settings.horizon_bars,)))
    steps = _STEPS if check else {name: told for name, told in _STEPS.items() if name != CHECK}
    found: dict[int, Backtest] = {}
    with (
        TrainingPool(settings.retrain_processes) as pool,
        StepsView(steps, runs=len(wanted), console=Console(stderr=True)) as view,
    ):
        kept = TrainingCache(settings.data_dir / "backtest")
        for horizon in wanted:
            asked = _settings(settings.model_copy(update={"horizon_bars": horizon}), choices)
            run = _Run(settings=asked, kept=kept, pool=pool, view=view, seed=settings.model_seed)
            found[horizon] = run.checked(recording) if check else run.plain(recording)
            _require_scores(found[horizon], recording, choices)
    if html is not None:
        from stream_app.offline.page import page

        html.write_text(page(found, files=[path.name for path in files]), encoding="utf-8")
        click.echo(f"backtest: charts are in {html}", err=True)
    if as_json:
        trained = sum(view.seconds.get(name, 0.0) for name in _TRAINS)
        predicted = sum(view.seconds.get(name, 0.0) for name in _PREDICTS)
        print_json(summary(found, train_seconds=trained, predict_seconds=predicted))
        return
    console = Console()
    for horizon, one in found.items():
        for table in _tables(horizon, one):
            console.print(table)


def _read(
    paths: Sequence[Path], symbol: str | None, reading: Reading, settings: Settings
) -> Recording:
    """Each file by itself: its bars have a length of their own. Those of one symbol as one."""
    from stream_app.offline.recording import Recording

    together = [paths] if symbol is not None else [[path] for path in paths]
    recording = Recording.of(
        [
            reading.read(each, symbol=symbol, command="backtest", bar_seconds=settings.bar_seconds)
            for each in together
        ]
    )
    for gap in recording.long_gaps():
        click.echo(f"backtest: {gap}: forecasts across it are not scored", err=True)
    return recording


def _settings(settings: Settings, choices: Choices) -> BacktestSettings:
    from stream_app.offline.backtest import BacktestSettings
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A backtest with one horizon."""

    settings: BacktestSettings
    kept: TrainingCache
    pool: TrainingPool
    view: StepsView
    seed: int

    def plain(
        self, recording: Recording, on_answer: Callable[[Answer], None] = lambda _: None
    ) -> Backtest:
        from stream_app.offline.backtest import run_backtest

        found = run_backtest(
            recording,
            self.settings,
            kept=self.kept,
            train=self.pool.run_numbered,
            watch=self.view,
            on_answer=on_answer,
        )
        how = "measured" if self.settings.latency_ms is None else "given"
        click.echo(
            f"backtest: {found.retrains} retrains; their models serve after "
            f"{found.latency_ms / 1000:g} s ({how})",
            err=True,
        )
        return found

    def checked(self, recording: Recording) -> Backtest:
        """The same, and that no earlier answer changes when the input ends earlier.

        Raises:
            LookAheadError: one does.
        """
        from stream_app.offline.backtest import run_backtest
        from stream_app.offline.look_ahead import CUTS, Digests, look_ahead, random_cuts
        from stream_app.offline.watch import Unwatched

        whole = Digests()
        found = self.plain(recording, whole.take)
        fixed = replace(self.settings, latency_ms=found.latency_ms)

        def run(part: Recording, on_answer: Callable[[Answer], None]) -> None:
            run_backtest(
                part,
                fixed,
                kept=self.kept,
                train=self.pool.run_numbered,
                watch=Unwatched(),
                on_answer=on_answer,
            )

        used = recording.head(len(whole))
        cuts = random_cuts(
            used,
            [since for versions in found.versions.values() for since, _ in versions],
            near_ms=2 * self.settings.prediction.horizon_ms,
            seed=self.seed,
        )
        self.view.begin(CHECK, {CHECK: CUTS})
        result = look_ahead(used, whole, cuts, run, on_cut=lambda: self.view.done(CHECK, 1))
        if result.changed:
            raise LookAheadError(
                f"{len(result.changed)} of {len(cuts)} cuts change an earlier answer: "
                f"{result.changed[0]}"
            )
        click.echo(
            f"backtest: cut at {len(cuts)} random ticks: 0 of {result.compared:,} earlier answers "
            "changed",
            err=True,
        )
        return found


def _require_scores(found: Backtest, recording: Recording, choices: Choices) -> None:
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


def _tables(horizon: int, found: Backtest) -> Iterator[Table]:
    from stream_app.offline.report import compared, parts
    from stream_app.terminal.skill import (
        comparison_table,
        interval_table,
        parts_table,
        skill_table,
    )

    for name, forecasts in found.forecasts.items():
        closes, inside = forecasts.closes, forecasts.inside
        if not len(closes):
            continue
        ahead = f"{name}, {horizon} bar{'s' * (horizon > 1)} ahead"
        yield skill_table(
            f"{ahead}: at the closes of bars, {found.retrains} retrains", closes.scores(horizon)
        )
        if closes.intervals:
            yield interval_table(f"{ahead}: intervals", closes.interval_scores())
        yield comparison_table(f"{ahead}: Diebold-Mariano t", compared(closes, horizon))
        if len(inside):
            yield parts_table(f"{ahead}: inside bars", parts(inside, found.bar_ms))
