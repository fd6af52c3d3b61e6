"""`stream-app bench`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from stream_app.commands.file_options import (
    Reading,
    file_options,
    read_if_given,
    symbol_option,
)
from stream_app.commands.options import WholeSentences, config_option, json_option, print_json
from stream_app.offline.window import counting, window_after
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.numbers import significant
from stream_app.terminal.width import Column, Sheet, table_console

if TYPE_CHECKING:
    from stream_app.offline.lstm_bench import Comparison


@click.group(cls=WholeSentences, epilog="\b\nExample:\n  stream-app bench lstm")
def bench() -> None:
    """Measure on your own data and machine. Writes nothing."""


@bench.command(
    epilog="""\b
Examples:
  stream-app bench lstm
  stream-app bench lstm --data prices.csv.gz --json
"""
)
@click.option(
    "--data",
    "file",
    type=click.Path(path_type=Path),
    help="A file of ticks or bars of one symbol; without it a synthetic month.",
)
@symbol_option
@file_options
@config_option
@json_option
def lstm(
    *, file: Path | None, symbol: str | None, reading: Reading, config: Path | None, as_json: bool
) -> None:
    """Train the LSTM with one setting changed at a time, and print what it costs and gives.

    Each learns from the first 80 % of the last TRAINING_WINDOW_DAYS, on one thread, and forecasts
    the rest. The LSTM's own settings are those of the table. Takes some minutes.
    """
    from stream_app.demo.ticks import history
    from stream_app.offline import lstm_bench
    from stream_app.training.settings import model_settings

    settings = load_settings(config)
    log_to_stderr("WARNING")
    given = read_if_given(
        reading,
        file,
        option="--data",
        symbol=symbol,
        command="bench",
        bar_seconds=settings.bar_seconds,
    )
    found = history(given)
    name = found.last.symbol
    wanted = lstm_bench.variants(model_settings(settings))
    with counting(Console(stderr=True)) as progress:
        bars = window_after(found.ticks, found.count, name, settings, progress)
        task = progress.add_task("training", total=len(wanted))

        def started(variant: lstm_bench.Variant) -> None:
            done = wanted.index(variant)
            progress.update(task, completed=done, description=f"training: {variant.name}")

        measured = lstm_bench.measure(bars, wanted, on_start=started)
        progress.update(task, completed=len(wanted), description="training")
    data = f"{name} from {file}" if file else f"{name}, synthetic prices"
    if as_json:
        understood = None if given is None else given.understood.as_dict()
        print_json({"data": data, "input": understood, **asdict(measured)})
        return
    table_console().print(*_lines(data, measured), sep="\n")


def _lines(data: str, measured: Comparison) -> tuple[Text, Sheet, Text]:
    """What was learned from, the figures of each variant, and what to compare them with."""
    head = (
        f"{data}: {measured.bars} bars, {measured.learned_bars} learned from, "
        f"{measured.test_rows} rows forecast"
    )
    numbers = (
        *("layers", "steps", "batch", "epochs", "parameters", "trained in"),
        *("mean absolute error", "ratio to the last price's"),
    )
    sheet = Sheet(
        Column(name="settings", is_head=True),
        *(Column(name=name, is_number=True) for name in numbers),
    )
    for row in measured.rows:
        sheet.add(
            row.name,
            ",".join(map(str, row.layers)),
            str(row.steps),
            str(row.batch),
            str(row.epochs),
            f"{row.parameters:,}",
            f"{row.seconds:.1f} s",
            significant(row.error.mae),
            "-" if row.ratio is None else f"{row.ratio:.4f}",
        )
    last = f"mean absolute error of the last price: {significant(measured.last_price.mae)}"
    return Text(head), sheet, Text(last)
