"""`stream-app top` beside a real worker: its read model follows real topics."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics, apply_topics, load_topics
from stream_app.overview.health import checks
from stream_app.overview.observer import Observer
from stream_app.top.app import TopApp
from tests.builders import START_MS, walk
from tests.conftest import SettingsFor
from tests.terminals import Terminal
from tests.topic_records import prediction
from tests.workers import TRAINS_SOON, WorkerProcess, environment, feed

pytestmark = pytest.mark.timeout(2000)

TOP = [sys.executable, "-m", "stream_app", "top"]


async def test_the_newest_answers_are_known_once_it_says_that_they_were_read(
    settings_for: SettingsFor,
) -> None:
    """Ticks wait at each moment of a busy system; their answers are read a little later."""
    settings = settings_for()
    topics = load_topics(settings.topics_file)
    await apply_topics(topics, client_settings(settings))
    await feed(settings, walk(20, symbol="A"))
    async with connected_producer(settings) as producer:
        for number in range(500):
            answer = prediction(START_MS + 1000 * number, symbol="A").value
            await producer.send(topics.predictions.name, answer, key=b"A")
        await producer.flush()
    observer = Observer(settings)
    reading = asyncio.create_task(observer.run())
    seen = []
    while not observer.model.reading.newest_read:
        assert not reading.done()
        found = checks(observer.model, observer.bounds)
        seen.append(next(item.text for item in found if item.id == "ready"))
        await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not [text for text in seen if "ticks wait" in text.lower()], set(seen)
    assert observer.model.answered_ms


async def test_it_shows_what_a_real_worker_does_from_before_its_topics_exist(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings = settings_for(**TRAINS_SOON)
    topics = load_topics(settings.topics_file)
    ticks = list(walk(1050, symbol="A"))
    observer = Observer(settings)
    app = TopApp(observer.model, observer.bounds, observer.clock.monotonic)
    reading = asyncio.create_task(observer.run())
    async with app.run_test(size=(160, 80)) as pilot:

        async def until(*words: str) -> None:
            while True:
                strips = app.screen._compositor.render_strips()
                text = "\n".join(strip.text for strip in strips)
                if all(word in text for word in words):
                    return
                assert not reading.done()
                await pilot.pause(0.1)

        await until("Needs action: answers", topics.ticks.name)
        await apply_topics(topics, client_settings(settings))
        with WorkerProcess(settings, tmp_path / "worker.log") as worker:
            await feed(settings, ticks[:1000])
            await until("2 A: live", "kalman", "✓ succeeded")
            await feed(settings, ticks[1000:])
            await until("✓ 4 models", "now ", "All is well")
            async with connected_producer(settings) as producer:
                await producer.send_and_wait(topics.ticks.name, b"not json", key=b"A")
            await until("not_json 1", "not json")
            worker.kill()
            await feed(settings, walk(20, symbol="A", seed=5))
            await until("Needs action: answers")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_q_ends_it_and_leaves_the_terminal_as_it_was(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings = settings_for(**TRAINS_SOON)
    async with Terminal(TOP, environment(settings)) as terminal:
        await terminal.until("No worker reads partition")
        assert not terminal.is_as_before()
        terminal.press(b"q")
        assert await terminal.ended() == 0
        assert terminal.is_as_before()
        assert b"Traceback" not in terminal.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(
    settings_for: SettingsFor, topics_on_broker: Topics, number: signal.Signals
) -> None:
    settings = settings_for(**TRAINS_SOON)
    async with Terminal(TOP, environment(settings)) as terminal:
        await terminal.until("No worker reads partition")
        terminal.process.send_signal(number)
        assert await terminal.ended() == 0
        assert terminal.is_as_before()
        assert b"Traceback" not in terminal.said


async def test_wrong_topics_are_told_in_one_line_before_any_screen(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text("topics: []\n")
    settings = settings_for(**TRAINS_SOON, topics_file=file)
    async with Terminal(TOP, environment(settings)) as terminal:
        assert await terminal.ended() == 2
        assert terminal.said.startswith(b"stream-app: ")
        assert len(terminal.said.splitlines()) == 1
