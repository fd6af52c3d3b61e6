"""`stream-app feed`."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from pathlib import Path
from typing import Any, Final, Literal, get_args

import click
from rich.console import Console

from stream_app.commands.feed_input import DEFAULT_SEED, FeedInput, of_files, of_synthetic
from stream_app.commands.file_options import Reading, file_options
from stream_app.commands.number_type import FiniteRange
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.commands.time_type import TimeType
from stream_app.contracts.schema_registry import schema_headers
from stream_app.feed.layout import known_layouts
from stream_app.feed.newest import behind, newest_on_topic
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import FeedReport, produce, topic_partitions
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import COMPRESSION, Compression, connected_producer
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.messages.tick_mapping import decoder_for, encoder_for
from stream_app.settings import Settings, load_settings
from stream_app.terminal.progress import ProgressView, utc
from stream_app.terminal.width import Column, Sheet, table_console

SYNTHETIC: Final = "synthetic"


class _SpeedType(click.ParamType):
    name = "SPEED"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Speed:
        try:
            return Speed.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _list_layouts(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        console = table_console()
        sheet = Sheet(Column(name="layout"), Column(name="files", is_long=True))
        for name, layout in known_layouts().items():
            if console.is_terminal:
                sheet.add(name, layout.title)
            else:
                click.echo(f"{name:26}{layout.title}")
        if console.is_terminal:
            console.print(sheet)
        ctx.exit()


@click.command(
    epilog="""\b
Examples:
  stream-app feed prices.csv.gz --symbol BTC-USD
  stream-app feed jan.csv.zip feb.csv.zip --symbol BTC-USD
  stream-app feed bars.csv --time-format "%d.%m.%Y %H:%M" --time-zone America/New_York
  stream-app feed quotes.parquet --column price=bid+ask --speed 60x
  stream-app feed synthetic --symbol A --symbol B --speed 500/s
  stream-app feed synthetic --ticks 100000 --start 2022-01-01T00:00Z --seed 1

\b
A file is CSV, JSON, Parquet, Feather or Arrow, plain or in gzip, zip, zstd, bzip2 or xz. A file
of ticks has columns of times and prices, and may have sizes, ids and symbols. A file of bars has
times, open, high, low, close, and may have volumes and symbols; a bar gives four ticks. Times are
epoch s, ms, us or ns, or ISO 8601. Several files are read as one. docs/files.md has a command for
each kind.
"""
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--layouts",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_layouts,
    help="List the known layouts and exit.",
)
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    metavar="NAME",
    help="The symbol of files without a symbol column; default: the file's name, in capitals. For "
    "synthetic ticks it can be repeated; default: SYNTHETIC.",
)
@file_options
@click.option("--coarse", is_flag=True, help="Send bars even if they are longer than BAR_SECONDS.")
@click.option(
    "--speed",
    type=_SpeedType(),
    help="max: as fast as possible; 60x: 60 times event time; 500/s: 500 ticks a second. "
    "Default: max, or 1x for synthetic ticks without --ticks.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Send at most N ticks.")
@click.option(
    "--ticks",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many synthetic ticks to send; default: no limit, until Ctrl-C.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The same seed gives the same synthetic prices; default: {DEFAULT_SEED}.",
)
@click.option(
    "--start",
    type=TimeType(),
    help="Event time of the first synthetic tick. Default: now; if they are sent faster than in "
    "real time, early enough for the last of --ticks to be now.",
)
@click.option(
    "--interval-ms",
    type=FiniteRange(min=0, min_open=True, max=86_400_000),
    metavar="MS",
    help="Event time between two synthetic ticks of a symbol. Default: 1000; for a speed such as "
    "500/s, the interval that keeps pace with real time.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", *get_args(Compression)]),
    default=COMPRESSION,
    show_default=True,
    help="How record batches are compressed.",
)
@json_option
@config_option
def feed(
    *,
    sources: tuple[str, ...],
    symbols: tuple[str, ...],
    reading: Reading,
    coarse: bool,
    speed: Speed | None,
    limit: int | None,
    ticks: int | None,
    seed: int | None,
    start: int | None,
    interval_ms: float | None,
    compression: Compression | Literal["none"],
    as_json: bool,
    config: Path | None,
) -> None:
    """Produce ticks from SOURCE: files of ticks, quotes or bars, or the word `synthetic`.

    Ends when the broker has acknowledged every tick. After Ctrl-C it waits for the ticks that it
    has sent. A file that cannot be understood is rejected before anything is sent.
    """
    settings = load_settings(config)
    topics = load_topics(settings.topics_file)
    if sources == (SYNTHETIC,):
        if misplaced := reading.given() or ("--coarse" if coarse else None):
            raise click.UsageError(f"{misplaced} is for files; SOURCE is synthetic")
        made = of_synthetic(
            symbols,
            ticks=min((count for count in (ticks, limit) if count is not None), default=None),
            speed=speed,
            seed=seed,
            start_ms=start,
            interval_ms=interval_ms,
            now_ms=_now_ms(),
        )
    else:
        options = {"--ticks": ticks, "--seed": seed, "--start": start, "--interval-ms": interval_ms}
        if given := [name for name, value in options.items() if value is not None]:
            raise click.UsageError(f"{given[0]} is for synthetic ticks; SOURCE is a file")
        if len(symbols) > 1:
            raise click.UsageError("one --symbol for a file; several are for synthetic ticks")
        file = reading.read(
            [Path(source) for source in sources],
            symbol=symbols[0] if symbols else None,
            command="feed",
            bar_seconds=settings.bar_seconds,
            coarse=coarse,
        )
        made = of_files(file, limit=limit, speed=speed)
    if warning := made.beyond_the_clock(_now_ms(), settings.max_future_seconds):
        click.echo(f"feed: warning: {warning}", err=True)
    chosen = None if compression == "none" else compression
    report = asyncio.run(_send(made, settings, topics, chosen))
    if as_json:
        understood = None if made.understood is None else made.understood.as_dict()
        print_json({**report.as_dict(), "input": understood})
    else:
        click.echo(_summary(report))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _send(
    made: FeedInput, settings: Settings, topics: Topics, compression: Compression | None
) -> FeedReport:
    # It logs each lost connection; what comes of that is in the one line of the BrokerError.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_once(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)  # a second one ends the process at once

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_once, number)
    topic = topics.ticks.name
    headers = await schema_headers(settings, [topics.ticks])
    async with connected_producer(settings, compression=compression) as producer:
        if made.first:
            partitions = await topic_partitions(producer, topic)
            newest = await newest_on_topic(
                client_settings(settings),
                topic,
                partitions,
                decode=decoder_for(settings.tick_mapping),
                max_future_ms=settings.max_future_seconds * 1000,
            )
            for warning in behind(made.first, newest):
                click.echo(f"feed: warning: {warning}", err=True)
        with ProgressView(made.total, Console(stderr=True)) as view:
            return await produce(
                made.ticks,
                producer=producer,
                topic=topic,
                pace=Pace(made.speed),
                on_progress=view.update,
                stop=stop,
                encode=encoder_for(settings.tick_mapping),
                headers=headers.get(topic),
            )


def _summary(report: FeedReport) -> str:
    if report.first_ts is None or report.last_ts is None:
        return "0 ticks sent"
    shown = ", ".join(report.symbols[:5])
    more = f" and {len(report.symbols) - 5} more" if len(report.symbols) > 5 else ""
    return (
        f"{report.ticks:,} ticks of {shown}{more} sent and acknowledged in {report.seconds:.1f} s "
        f"({report.ticks_per_second:,.0f}/s), event time {utc(report.first_ts)} to "
        f"{utc(report.last_ts)}"
    )
