"""`stream-app scores`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from stream_app.commands.options import config_option, json_option, print_json
from stream_app.errors import StreamAppError
from stream_app.messages.schemas import PLAIN_HARM
from stream_app.messages.symbols import some_of
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.scores import scores_sheet
from stream_app.terminal.width import table_console


@click.command(
    epilog="""\b
Examples:
  stream-app scores
  stream-app scores BTC-USD --json
"""
)
@click.argument("symbol", required=False)
@config_option
@json_option
def scores(symbol: str | None, config: Path | None, as_json: bool) -> None:
    """Print the forecasts' skill against the last price, for each symbol or for SYMBOL.

    A skill is 1 - error / the last price's error: 0.20% is that much less error; below 0 the last
    price was better. Reads the newest message of each symbol from the scores topic.
    """
    from stream_app.kafka.scores import read_newest_scores

    settings = load_settings(config)
    log_to_stderr("WARNING")
    newest = asyncio.run(read_newest_scores(settings))
    if symbol is not None:
        if symbol not in newest:
            raise StreamAppError(
                f"{symbol[:80]!r} has no score yet; one comes when the first bar's horizon is over"
                + (f"; there are scores of {some_of(list(newest))}" if newest else "")
            )
        newest = {symbol: newest[symbol]}
    if as_json:
        print_json(newest)
        return
    if not newest:
        click.echo("No forecast has an outcome yet. The first one comes a horizon after a bar.")
        return
    console = table_console()
    for score in newest.values():
        if not score.running:
            console.print(f"{score.symbol}: no full hour yet", markup=False)
            continue
        console.print(scores_sheet(score))
        if score.harm >= PLAIN_HARM:
            console.print(
                f"{score.symbol}: the published forecasts do harm (e-value {score.harm:.3g}): set "
                "the weight of the model with the lowest skill to 0, or look at its data",
                markup=False,
            )
