"""`stream-app feed`."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from stream_app.commands.options import config_option, json_option, print_json
from stream_app.feed.columns import parse_mapping
from stream_app.feed.files import read_ticks
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import FeedReport, produce
from stream_app.feed.synthetic import fit_to_clock, synthetic_ticks
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import load_topics
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import encoder_for
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from stream_app.settings import Settings, load_settings
from stream_app.terminal.progress import ProgressView, utc

SYNTHETIC: Final = "synthetic"
_DEFAULT_SEED: Final = 7


class _SpeedType(click.ParamType):
    name = "SPEED"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Speed:
        try:
            return Speed.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _TimeType(click.ParamType):
    name = "ISO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            given = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time such as 2022-01-01T00:00Z", param, ctx)
        if given.tzinfo is None:
            given = given.replace(tzinfo=UTC)
        ts = round(given.timestamp() * 1000)
        if not EARLIEST_TS <= ts <= LATEST_TS:
            self.fail(f"{value!r} is outside 2000 to 2100", param, ctx)
        return ts


@dataclass(frozen=True, slots=True)
class _Feed:
    ticks: Iterator[Tick]
    total: int | None
    notices: tuple[str, ...] = ()


@click.command(
    epilog="""\b
Examples:
  stream-app feed prices.csv.gz --symbol BTC-USD
  stream-app feed bars.parquet --speed 60x --column time=OpenTime
  stream-app feed synthetic --symbol A --symbol B --speed 500/s
  stream-app feed synthetic --ticks 100000 --start 2022-01-01T00:00Z --seed 1

\b
A file is CSV with a header, or Parquet, gzipped or not. A file of ticks has columns of times and
prices, and may have sizes and symbols. A file of bars has times, open, high, low, close, and may
have volumes and symbols; a bar gives four ticks. Times are epoch s, ms, us or ns, or ISO 8601.
"""
)
@click.argument("source", metavar="SOURCE")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    metavar="NAME",
    help="Of a file without a column of symbols; default: its name up to the first dot, in "
    "capitals. Of synthetic ticks, as often as wanted; default: SYNTHETIC.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=NAME",
    help="Which column is the time, symbol, price, size, open, high, low, close or volume, where "
    "its name does not tell. Repeatable.",
)
@click.option(
    "--speed",
    type=_SpeedType(),
    help="max, as fast as it goes; 60x, so many times event time; 500/s, so many ticks a second. "
    "Default: max, and 1x for synthetic ticks without end.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N ticks.")
@click.option(
    "--ticks",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many synthetic ticks; default: until Ctrl-C.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The same seed gives the same synthetic prices; default: {_DEFAULT_SEED}.",
)
@click.option(
    "--start",
    type=_TimeType(),
    help="Event time of the first synthetic tick; default: now, or so much earlier that the last "
    "of --ticks is now, if the speed is above the clock's.",
)
@click.option(
    "--interval-ms",
    type=click.FloatRange(min=0, min_open=True, max=86_400_000),
    metavar="MS",
    help="Event time between two synthetic ticks of a symbol; default: 1000, and what keeps up "
    "with the clock for a speed such as 500/s.",
)
@json_option
@config_option
def feed(
    *,
    source: str,
    symbols: tuple[str, ...],
    columns: tuple[str, ...],
    speed: Speed | None,
    limit: int | None,
    ticks: int | None,
    seed: int | None,
    start: int | None,
    interval_ms: float | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Produce ticks from SOURCE: a file of ticks or bars, or the word synthetic.

    Ends when the broker has acknowledged every tick, or on Ctrl-C once it has acknowledged what
    was sent. A file that cannot be understood is refused before anything is sent.
    """
    settings = load_settings(config)
    topic = load_topics(settings.topics_file).ticks.name
    if source == SYNTHETIC:
        if columns:
            raise click.UsageError("--column is for files; SOURCE is synthetic")
        bound = min((count for count in (ticks, limit) if count is not None), default=None)
        speed = speed or (Speed() if bound is not None else Speed(factor=1.0))
        names = symbols or ("SYNTHETIC",)
        start, interval_ms = fit_to_clock(
            speed,
            symbols=len(names),
            ticks=bound,
            start_ms=start,
            interval_ms=interval_ms,
            now_ms=time.time_ns() // 1_000_000,
        )
        endless = synthetic_ticks(
            symbols=names,
            seed=_DEFAULT_SEED if seed is None else seed,
            start_ms=start,
            interval_ms=interval_ms,
        )
        made = _Feed(itertools.islice(endless, bound), bound)
    else:
        speed = speed or Speed()
        options = {"--ticks": ticks, "--seed": seed, "--start": start, "--interval-ms": interval_ms}
        if misplaced := [name for name, value in options.items() if value is not None]:
            raise click.UsageError(f"{misplaced[0]} is for synthetic ticks; SOURCE is a file")
        made = _file(Path(source), symbols, columns, limit)
    for notice in made.notices:
        click.echo(f"feed: {notice}", err=True)
    report = asyncio.run(_send(made, settings, topic, Pace(speed)))
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(_summary(report))


def _file(
    path: Path, symbols: tuple[str, ...], columns: tuple[str, ...], limit: int | None
) -> _Feed:
    if len(symbols) > 1:
        raise click.UsageError("one --symbol for a file; several are for synthetic ticks")
    file = read_ticks(path, symbol=symbols[0] if symbols else None, columns=parse_mapping(columns))
    total = file.count if limit is None else min(limit, file.count)
    return _Feed(itertools.islice(file.ticks, total), total, file.notices)


async def _send(made: _Feed, settings: Settings, topic: str, pace: Pace) -> FeedReport:
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
    async with connected_producer(settings) as producer:
        with ProgressView(made.total, Console(stderr=True)) as view:
            return await produce(
                made.ticks,
                producer=producer,
                topic=topic,
                pace=pace,
                on_progress=view.update,
                stop=stop,
                encode=encoder_for(settings.tick_mapping),
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
