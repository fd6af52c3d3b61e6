"""`stream-app demo`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_app.commands.file_options import (
    Reading,
    file_options,
    read_if_given,
    symbol_option,
)
from stream_app.commands.number_type import FiniteRange
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.errors import ConfigError
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr

if TYPE_CHECKING:
    from stream_app.brokers import Broker
    from stream_app.demo.story import Story
    from stream_app.demo.ticks import History


@click.command(
    epilog="""\b
Examples:
  stream-app demo
  stream-app demo --for 120 --json
  stream-app demo --history bars.csv.gz --rate 200
  KAFKA_HOME=/opt/kafka stream-app demo --broker kafka
"""
)
@click.option(
    "--for",
    "seconds",
    type=FiniteRange(1),
    metavar="SECONDS",
    help="End after this many seconds.",
)
@click.option(
    "--history",
    "file",
    type=click.Path(path_type=Path),
    help="Use this file of ticks or bars instead of a synthetic month.",
)
@click.option(
    "--rate",
    default=20.0,
    show_default=True,
    type=FiniteRange(0.1, 100_000),
    help="Live ticks per second.",
)
@click.option(
    "--broker",
    type=click.Choice(["embedded", "kafka"]),
    default="embedded",
    show_default=True,
    help="The broker to start: embedded, or the Apache Kafka in KAFKA_HOME.",
)
@symbol_option
@file_options
@config_option
@json_option
def demo(
    *,
    seconds: float | None,
    file: Path | None,
    symbol: str | None,
    reading: Reading,
    rate: float,
    broker: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Run everything at once: broker, topics, a month of history, live ticks, worker, drift, page.

    Everything runs on this machine, in a temporary folder that is removed at the end. The history
    is sent as fast as possible. The first prediction by all four models comes within 90 seconds.
    """
    from stream_app.demo.story import Story
    from stream_app.demo.ticks import history

    settings = load_settings(config)
    log_to_stderr("ERROR")
    read = read_if_given(
        reading,
        file,
        option="--history",
        symbol=symbol,
        command="demo",
        bar_seconds=settings.bar_seconds,
    )
    given = history(read)
    with (
        tempfile.TemporaryDirectory(prefix="stream-app-demo-") as folder,
        _broker(broker) as started,
    ):
        story = Story(broker=started.name, history_total=given.count)
        log = Path(folder) / "worker.log"
        try:
            asyncio.run(
                _run(
                    settings=settings,
                    broker=started,
                    folder=Path(folder),
                    log=log,
                    given=given,
                    story=story,
                    rate=rate,
                    seconds=seconds,
                )
            )
        except BaseException:
            if log.exists():
                click.echo(log.read_text(errors="replace")[-2000:], err=True)
            raise
    if as_json:
        understood = None if read is None else read.understood.as_dict()
        print_json({**story.summary(), "input": understood})
    else:
        _say(story)


def _broker(kind: str) -> Broker:
    if kind == "embedded":
        from stream_app.brokers.embedded import EmbeddedBroker

        return EmbeddedBroker()
    from stream_app.brokers.kafka import KafkaBroker

    home = os.environ.get("KAFKA_HOME")
    if not home:
        raise ConfigError(
            "KAFKA_HOME is not set; set it to the directory of an Apache Kafka 4 distribution"
        )
    return KafkaBroker(Path(home))


async def _run(
    *,
    settings: Settings,
    broker: Broker,
    folder: Path,
    log: Path,
    given: History,
    story: Story,
    rate: float,
    seconds: float | None,
) -> None:
    import signal

    from stream_app.brokers.process import free_ports
    from stream_app.demo.processes import dashboard
    from stream_app.demo.run import demo_settings, run_demo
    from stream_app.demo.view import show
    from stream_app.kafka.topic_check import load_topics

    chosen = demo_settings(settings, broker.settings_overrides, folder, free_ports(1)[0])
    topics = load_topics(chosen.topics_file)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with log.open("wb") as worker_log:
        async with dashboard(chosen, worker_log.fileno()) as story.dashboard:
            click.echo(f"Dashboard at {story.dashboard}", err=True)
            showing = asyncio.create_task(show(story, chosen))
            showing.add_done_callback(lambda _: stop.set())
            try:
                await run_demo(
                    chosen,
                    topics,
                    given,
                    story,
                    per_second=rate,
                    seconds=seconds,
                    stop=stop,
                    worker_log=worker_log.fileno(),
                )
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


def _say(story: Story) -> None:
    found = story.summary()
    latency, rate = found["latency_ms"], found["ticks_per_second"]
    lines = [
        f"{found['ticks_sent']:,} ticks sent, {found['predictions']:,} predictions, "
        f"{found['dead_letters']} dead letters, {found['late']} late",
        "no four-model prediction yet"
        if found["warm_up_seconds"] is None
        else f"first four-model prediction after {found['warm_up_seconds']:.1f} s",
    ]
    if rate is not None:
        lines.append(f"the history was answered at {rate:,.0f} ticks per second")
    if latency["p50"] is not None:
        lines.append(
            f"live: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms, tick to prediction"
        )
    click.echo("\n".join(lines))
    sys.stdout.flush()
