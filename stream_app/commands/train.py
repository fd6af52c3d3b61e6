"""`stream-app train`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_app.commands.options import config_option, json_option, log_to_stderr, print_json
from stream_app.errors import SourceError
from stream_app.settings import MODEL_NAMES, Settings, load_settings

if TYPE_CHECKING:
    from stream_app.evaluation import Evaluation
    from stream_app.features import BarColumns
    from stream_app.feed.files import TickFile


@click.command(
    epilog="""\b
Examples:
  stream-app train prices.csv.gz
  stream-app train ticks.parquet --symbol BTC-USD --json
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--symbol", help="Which symbol, when the file has several.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=NAME",
    help="Which column is which, as in `stream-app feed`.",
)
@config_option
@json_option
def train(
    file: Path, symbol: str | None, columns: tuple[str, ...], config: Path | None, as_json: bool
) -> None:
    """Train the four models once, offline, on the file's last TRAINING_WINDOW_DAYS.

    Learns from the first 80 % of the window and forecasts the rest; prints each model's time and
    error beside that of the last price. Writes nothing.
    """
    from stream_app.evaluation import evaluate
    from stream_app.feed.columns import parse_mapping
    from stream_app.feed.files import read_ticks
    from stream_app.pool import TrainingPool
    from stream_app.retraining import model_settings

    settings = load_settings(config)
    log_to_stderr("WARNING")
    read = read_ticks(file, columns=parse_mapping(columns))
    console = Console(stderr=True)
    with _progress(console) as progress, TrainingPool(settings.retrain_processes) as pool:
        pool.warm_up().result()
        bars = _bars(read, symbol, settings, progress)
        task = progress.add_task("training", total=len(MODEL_NAMES))
        found = evaluate(
            bars,
            model_settings(settings),
            weights=settings.ensemble_weights,
            train_all=pool.run_all,
            on_progress=lambda _: progress.advance(task),
        )
    summary = _summary(found, read.count, settings.retrain_target_seconds)
    if as_json:
        print_json(summary)
    else:
        Console().print(_table(found, summary))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _bars(read: TickFile, symbol: str | None, settings: Settings, progress: Progress) -> BarColumns:
    """The window that a worker would have after these ticks, by the worker's own code."""
    from stream_app.ensemble import Ensemble
    from stream_app.schemas import Source
    from stream_app.symbol import SymbolPipeline

    names = read.symbols
    if symbol is not None and symbol not in names:
        raise SourceError(f"{read.path}: no symbol {symbol}; it has {', '.join(names[:10])}")
    if symbol is None and len(names) > 1:
        raise SourceError(
            f"{read.path}: {len(names)} symbols; name one with --symbol: {', '.join(names[:10])}"
        )
    wanted = symbol or names[0]
    ensemble = Ensemble(weights=settings.ensemble_weights, max_age_ms=0)
    pipeline = SymbolPipeline(wanted, settings, ensemble)
    source = Source(topic=str(read.path), partition=0, offset=0)
    task = progress.add_task("bars", total=read.count)
    ticks = ((tick, source) for tick in read.ticks if tick.symbol == wanted)
    for chunk in _chunks(ticks, 2048):
        pipeline.process(chunk)
        progress.advance(task, len(chunk))
    return pipeline.window.columns()


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _summary(found: Evaluation, ticks: int, target_s: float) -> dict[str, Any]:
    return {
        "ticks": ticks,
        **asdict(found),
        "target_seconds": target_s,
        "exceeded": found.total_seconds > target_s,
    }


def _table(found: Evaluation, summary: dict[str, Any]) -> Table:
    table = Table(
        title=f"{found.bars} bars, {found.rows} rows learned from, {found.test_rows} forecast; "
        f"all four in {found.total_seconds:.1f} s (target {summary['target_seconds']:g} s)",
        title_justify="left",
    )
    table.add_column("model")
    table.add_column("trained in", justify="right")
    table.add_column("mean absolute error", justify="right")
    table.add_column("in percent", justify="right")
    table.add_column("beside the last price", justify="right")
    base = found.last_price.mae
    lines = [
        *((name, f"{score.seconds:.1f} s", score) for name, score in found.models.items()),
        ("ensemble", "", found.ensemble),
        ("last price", "", found.last_price),
    ]
    for name, seconds, score in lines:
        beside = f"{100 * (score.mae / base - 1):+.2f} %"
        table.add_row(name, seconds, f"{score.mae:.4f}", f"{score.mape:.4f} %", beside)
    return table
