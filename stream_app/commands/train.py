"""`stream-app train`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from stream_app.commands.file_options import Reading, file_options
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.errors import SourceError
from stream_app.messages.symbols import some_of
from stream_app.models.catalog import CATALOG
from stream_app.offline.window import counting, window_after
from stream_app.scoring.point import mae_ratio
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.numbers import significant
from stream_app.terminal.width import Column, Sheet, table_console

if TYPE_CHECKING:
    from stream_app.feed.files import TickFile
    from stream_app.training.holdout import Evaluation, ModelScore


@click.command(
    epilog="""\b
Examples:
  stream-app train prices.csv.gz
  stream-app train ticks.parquet --symbol BTC-USD --json
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--symbol",
    metavar="NAME",
    help="Which symbol, if the file has several; its symbol, if it has no symbol column.",
)
@file_options
@config_option
@json_option
def train(
    file: Path, symbol: str | None, reading: Reading, config: Path | None, as_json: bool
) -> None:
    """Train the four models once, offline, on the file's last TRAINING_WINDOW_DAYS.

    Learns from the first 80 % of the window and forecasts the rest. Prints each model's time, and
    its error next to that of the last price. Writes no files.
    """
    from stream_app.training.holdout import evaluate, hold_out
    from stream_app.training.pool import TrainingPool
    from stream_app.training.settings import model_settings

    settings = load_settings(config)
    log_to_stderr("WARNING")
    read = reading.read(
        [file], symbol=symbol, command="train", bar_seconds=settings.bar_seconds, pick=True
    )
    console = Console(stderr=True)
    wanted = _symbol(read, symbol)
    with counting(console) as progress:
        bars = window_after(read.ticks, read.count, wanted, settings, progress)
        hold_out(bars, model_settings(settings))  # refuses too few bars before processes start
        with TrainingPool(settings.retrain_processes) as pool:
            pool.warm_up().result()
            task = progress.add_task("training", total=len(CATALOG))
            found = evaluate(
                bars,
                model_settings(settings),
                weights=settings.ensemble_weights,
                train_all=pool.run_all,
                on_progress=lambda _: progress.advance(task),
            )
    summary = _summary(found, read, settings.retrain_target_seconds)
    if as_json:
        print_json(summary)
    else:
        table_console().print(*_lines(found, summary), sep="\n")


def _symbol(read: TickFile, wanted: str | None) -> str:
    names = read.symbols
    if wanted is not None and wanted not in names:
        raise SourceError(f"{read.paths[0]}: no symbol {wanted}; it has {some_of(names)}")
    if wanted is None and len(names) > 1:
        raise SourceError(
            f"{read.paths[0]}: {len(names)} symbols; name one with --symbol: {some_of(names)}"
        )
    return wanted or names[0]


def _summary(found: Evaluation, read: TickFile, target_s: float) -> dict[str, Any]:
    return {
        "input": read.understood.as_dict(),
        "ticks": read.count,
        **asdict(found),
        "target_seconds": target_s,
        "exceeded": found.total_seconds > target_s,
    }


def _remarks(found: Evaluation) -> str:
    """What to know of the prices before the figures are believed, and what the skill is."""
    remarks = []
    if found.jumps:
        remarks.append(
            f"{found.jumps} steps in price are too large to be believed (docs/models.md): "
            "they count as none, and nothing is measured on them"
        )
    if not found.last_price.mae:
        remarks.append(
            "the price does not move in the bars forecast: the last price is always right"
        )
    remarks.append("MAE skill: 1 - error / the last price's error; above 0 is better")
    return "\n".join(remarks)


def _lines(found: Evaluation, summary: dict[str, Any]) -> tuple[Text, Sheet, Text]:
    """What was learned from, the figures of each model, and how to read them."""
    head = (
        f"{found.bars} bars, {found.rows} rows learned from, {found.test_rows} forecast; "
        f"all four in {found.total_seconds:.1f} s (target {summary['target_seconds']:g} s)"
    )
    sheet = Sheet(
        Column(name="model", is_head=True),
        Column(name="trained in", is_number=True),
        Column(name="mean absolute error", is_number=True),
        Column(name="in percent", is_number=True),
        Column(name="MAE skill", is_number=True),
    )
    models = found.models.items()
    lines = [
        *((_label(name, score), f"{score.seconds:.1f} s", score) for name, score in models),
        ("ensemble", "", found.ensemble),
        ("last price", "", found.last_price),
    ]
    for name, seconds, score in lines:
        ratio = mae_ratio(score, found.last_price)
        skill = "-" if ratio is None else f"{_without_sign_of_zero(100 * (1 - ratio)):+.2f} %"
        sheet.add(name, seconds, significant(score.mae), f"{significant(score.mape)} %", skill)
    return Text(head), sheet, Text(_remarks(found))


def _without_sign_of_zero(percent: float) -> float:
    return round(percent, 2) + 0.0


def _label(name: str, score: ModelScore) -> str:
    return f"{name} (answers the last price: {score.last_price})" if score.last_price else name
