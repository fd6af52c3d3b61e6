"""`stream-app train`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from stream_app.commands.options import config_option, json_option, print_json
from stream_app.errors import SourceError
from stream_app.models.catalog import CATALOG
from stream_app.offline.window import counting, window_after
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr

if TYPE_CHECKING:
    from stream_app.feed.files import TickFile
    from stream_app.training.holdout import Evaluation


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
    from stream_app.feed.columns import parse_mapping
    from stream_app.feed.files import read_ticks
    from stream_app.training.holdout import evaluate
    from stream_app.training.pool import TrainingPool
    from stream_app.training.settings import model_settings

    settings = load_settings(config)
    log_to_stderr("WARNING")
    read = read_ticks(file, columns=parse_mapping(columns))
    console = Console(stderr=True)
    wanted = _symbol(read, symbol)
    with counting(console) as progress, TrainingPool(settings.retrain_processes) as pool:
        pool.warm_up().result()
        bars = window_after(read.ticks, read.count, wanted, settings, progress)
        task = progress.add_task("training", total=len(CATALOG))
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


def _symbol(read: TickFile, wanted: str | None) -> str:
    names = read.symbols
    if wanted is not None and wanted not in names:
        raise SourceError(f"{read.path}: no symbol {wanted}; it has {', '.join(names[:10])}")
    if wanted is None and len(names) > 1:
        raise SourceError(
            f"{read.path}: {len(names)} symbols; name one with --symbol: {', '.join(names[:10])}"
        )
    return wanted or names[0]


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
