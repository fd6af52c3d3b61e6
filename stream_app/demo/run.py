"""Runs a demo: creates topics, starts a worker, feeds history and live ticks, reads the output."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from stream_app.demo.processes import running
from stream_app.demo.story import Story
from stream_app.demo.ticks import History, live
from stream_app.errors import StreamAppError
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_new
from stream_app.kafka.topic_check import Topics, apply_topics
from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings
from stream_app.web.listening import address

logger = logging.getLogger(__name__)

LISTEN_S: Final = 5.0
"""How long the demo waits for the last predictions before it ends."""


async def run_demo(
    settings: Settings,
    topics: Topics,
    history: History,
    story: Story,
    *,
    per_second: float,
    seconds: float | None,
    stop: asyncio.Event,
    worker_log: int,
) -> None:
    """Run until `seconds` have passed, or until `stop` is set, as by Ctrl-C.

    Args:
        settings: for the demo's broker; the worker gets them through its environment.
        topics: created first.
        history: fed as fast as possible.
        story: notes everything that happens.
        per_second: rate of the live ticks.
        seconds: from the story's start; None runs until `stop`.
        stop: ends the demo.
        worker_log: file descriptor for the worker's log.

    Raises:
        StreamAppError: a part cannot start, or the worker ended by itself.
    """
    await apply_topics(topics, client_settings(settings))
    async with (
        running("worker", settings, worker_log, stdout=worker_log) as process,
        running("drift", settings, worker_log, stdout=worker_log),
    ):
        listening = asyncio.create_task(_listen(settings, topics, story))
        asking = asyncio.create_task(_ask(settings, story))
        feeding = asyncio.create_task(_feed(settings, topics, history, story, per_second))
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        tasks = (listening, asking, feeding, ended, stopping)
        left = None if seconds is None else max(0.0, seconds - story.seconds)
        done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        story.phase = "ending"
        await _cancel(feeding)
        if ended in done:
            await _cancel(listening, asking, stopping)
            raise StreamAppError(
                f"the worker ended with exit code {process.returncode}; see its log"
            )
        for task in done:
            task.result()
        await _hear_the_last(story)
        await _cancel(listening, asking, ended, stopping)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            story.worker = await _status(settings)


async def _feed(
    settings: Settings, topics: Topics, history: History, story: Story, per_second: float
) -> None:
    def on_progress(acknowledged: int, _ts: int) -> None:
        story.sent = before + acknowledged

    before = 0
    async with connected_producer(settings) as producer:
        story.phase = "feeding a month of history"
        report = await produce(
            history.ticks,
            producer=producer,
            topic=topics.ticks.name,
            pace=Pace(Speed()),
            on_progress=on_progress,
        )
        before = story.sent = report.ticks
        story.phase = "the worker answers the history"
        while story.answered < history.count:  # noqa: ASYNC110 - read by another task
            await asyncio.sleep(0.05)
        story.phase = f"live, {per_second:g} ticks a second"
        stop = asyncio.Event()
        sending = asyncio.ensure_future(
            produce(
                _noted(live(history.last, per_second), story),
                producer=producer,
                topic=topics.ticks.name,
                pace=Pace(Speed(per_second=per_second)),
                on_progress=on_progress,
                stop=stop,
            )
        )
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            stop.set()
            story.sent = before + (await sending).ticks
            raise


def _noted(ticks: Iterator[Tick], story: Story) -> Iterator[Tick]:
    for tick in ticks:
        yield tick
        # The producer has waited until the tick is due, and is about to send it.
        story.live_sent_at[tick.symbol, tick.ts] = time.monotonic()


async def _listen(settings: Settings, topics: Topics, story: Story) -> None:
    async with open_reader(client_settings(settings)) as consumer:
        async for record in read_new(consumer, topics.predictions, topics.retrain_events):
            if record.topic == topics.predictions.name:
                story.take_prediction(record.value)
            else:
                story.take_retrain(decode_retrain_event(record.value))


async def _ask(settings: Settings, story: Story) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            story.worker = await _status(settings)
        await asyncio.sleep(0.5)


async def _status(settings: Settings) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=2)
    url = f"{address(settings.web_host, settings.web_port)}/status"
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        status: dict[str, Any] = await response.json()
        return status


async def _hear_the_last(story: Story) -> None:
    deadline = time.monotonic() + LISTEN_S
    while story.predictions < story.sent and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def demo_settings(
    settings: Settings, overrides: dict[str, Any], folder: Path, port: int
) -> Settings:
    """The settings of a demo: its broker's, its own folder, a free port, ticks of its own form."""
    own = {
        "data_dir": folder / "data",
        "web_port": port,
        "tick_fields": {},
        "tick_time_unit": "ms",
        "tick_key": "required",
    }
    return settings.model_copy(update={**overrides, **own})
