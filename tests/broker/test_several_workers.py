"""Several workers of one group: who stands by, who takes over, and what moves when."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings
from tests.agreement import compare
from tests.builders import START_MS
from tests.conftest import SettingsFor, needs_kafka
from tests.workers import DEADLINE_S, WorkerProcess, begin_anew, feed, read_until, read_while

pytestmark = [
    pytest.mark.timeout(600),
    # The embedded broker takes half of a session timeout to change a group.
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

NEVER_S = 60.0
"""A session timeout that no test here waits for: what comes sooner does not come from it."""
SMALL: dict[str, Any] = {"bar_seconds": 60, "training_window_days": 5, "min_training_bars": 7200}
"""More bars than the ticks make: no training."""
SYMBOLS = [f"S{number}" for number in range(8)]


def ticks(count: int, first: int = 0) -> list[Tick]:
    endless = synthetic_ticks(symbols=SYMBOLS, seed=5, start_ms=START_MS, interval_ms=15_000)
    return list(itertools.islice(endless, first, first + count))


async def until_they_stand_by(*workers: WorkerProcess) -> None:
    """Each has restored partitions, and stands by for all that the others have."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(
            "stands by" in worker.text() and "restored" in worker.text() for worker in workers
        ):
            assert all(worker.process.poll() is None for worker in workers)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def two_workers(
    settings_for: SettingsFor, folder: Path, *, named: bool = False, session_s: float = NEVER_S
) -> AsyncIterator[tuple[WorkerProcess, WorkerProcess]]:
    """Both with partitions, and each warm for the other's."""
    common = settings_for(**SMALL, kafka_session_timeout_seconds=session_s)
    async with AsyncExitStack() as stack:
        workers = []
        for name in "ab":
            own = {"kafka_group_instance_id": name} if named else {}
            settings = common.model_copy(update=own)
            worker = stack.enter_context(WorkerProcess(settings, folder / f"{name}.log"))
            await worker.until("Worker started")
            workers.append(worker)
        await until_they_stand_by(*workers)
        yield workers[0], workers[1]


async def in_peace(settings: Settings, topics: Topics, log: Path, messages: list[Any]) -> int:
    """How many of the messages differ from those of one worker that nobody disturbed."""
    count = len({message["id"] for message in messages})
    await begin_anew(settings)
    with WorkerProcess(settings, log) as worker:
        together = len(messages) + count
        both = await read_while(worker, topics.predictions, lambda got: len(got) < together)
        assert worker.terminate() == 0, worker.text()
    lost, _, differing = compare(both, count)
    assert lost == 0
    return differing


@pytest.mark.parametrize(
    ("ending", "named"),
    [("in order", False), ("in order", True), ("kill -9", False)],
    ids=["in order", "in order, with an id", "kill -9"],
)
async def test_one_that_stood_by_goes_on_where_the_other_ended(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, ending: str, *, named: bool
) -> None:
    """With an id too: as a pod of Kubernetes, which the group would keep a place for."""
    count = 2_400
    await feed(settings_for(**SMALL), ticks(count // 2))
    # Killed, its session has to end; in order, nobody waits for that.
    session_s = NEVER_S if ending == "in order" else 6.0
    async with two_workers(settings_for, tmp_path, named=named, session_s=session_s) as (
        first,
        second,
    ):
        await read_until(second, topics_on_broker.predictions, count // 2)
        feeding = asyncio.create_task(feed(first.settings, ticks(count // 2, count // 2), 200))
        await asyncio.sleep(2.0)
        began = len(second.text())
        if ending == "in order":
            assert first.terminate() == 0, first.text()
            async with asyncio.timeout(NEVER_S / 2):
                while "it stood by" not in second.text()[began:]:
                    await asyncio.sleep(0.1)
        else:
            first.kill()
        await feeding
        messages = await read_until(second, topics_on_broker.predictions, count)
        taken = [line for line in second.text()[began:].splitlines() if "it stood by" in line]
        assert taken, second.text()
        none_again = all(" 0 ticks replayed" in line for line in taken)
        assert none_again == (ending == "in order"), taken
        assert second.terminate() == 0, second.text()
    lost, _, differing = compare(messages, count)
    assert (lost, differing) == (0, 0)
    again = settings_for(**SMALL, data_dir=tmp_path / "again")
    assert await in_peace(again, topics_on_broker, tmp_path / "again.log", messages) == 0


@pytest.mark.parametrize("named", [False, True], ids=["", "with an id"])
async def test_one_that_stood_still_goes_on_and_harms_nothing(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, *, named: bool
) -> None:
    """As with an event loop that is blocked for longer than the session, in the midst of ticks."""
    count = 3_200
    quarter = count // 4
    await feed(settings_for(**SMALL), ticks(quarter))
    async with two_workers(settings_for, tmp_path, named=named, session_s=6.0) as (first, second):
        feeding = asyncio.create_task(feed(first.settings, ticks(2 * quarter, quarter), 80))
        await asyncio.sleep(2.0)
        began = len(second.text())
        first.process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(DEADLINE_S):
            while "it stood by" not in second.text()[began:]:
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        first.process.send_signal(signal.SIGCONT)
        await feeding
        await read_until(second, topics_on_broker.predictions, 3 * quarter)
        assert first.process.poll() is None, first.text()
        for worker in (first, second):
            assert worker.terminate() == 0, worker.text()
    # What it wrote after the other had gone on is in the topics that the next one begins with.
    after = settings_for(**SMALL, data_dir=tmp_path / "after")
    with WorkerProcess(after, tmp_path / "after.log") as worker:
        await feed(after, ticks(quarter, 3 * quarter))
        messages = await read_until(worker, topics_on_broker.predictions, count)
        assert worker.terminate() == 0, worker.text()
    lost, _, differing = compare(messages, count)
    assert (lost, differing) == (0, 0)
    again = settings_for(**SMALL, data_dir=tmp_path / "again")
    assert await in_peace(again, topics_on_broker, tmp_path / "again.log", messages) == 0


async def test_one_that_joins_is_given_partitions_once_it_can_answer_them(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    count = 1_600
    await feed(settings_for(**SMALL), ticks(count // 2))
    async with two_workers(settings_for, tmp_path) as (first, second):
        await feed(first.settings, ticks(count // 2, count // 2), 400)
        messages = await read_until(second, topics_on_broker.predictions, count)
        restores = [line for line in second.text().splitlines() if "restored" in line]
        assert restores
        assert all("it stood by" in line for line in restores), second.text()
        # The one that had them was alive, and published their states before it gave them up.
        assert all(" 0 ticks replayed" in line for line in restores), second.text()
    lost, _, differing = compare(messages, count)
    assert (lost, differing) == (0, 0)


@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "later"])
async def test_two_workers_of_one_name_do_not_both_answer_on_and_on(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, *, is_later: bool
) -> None:
    settings = settings_for(**SMALL, kafka_group_instance_id="same")
    first = WorkerProcess(settings, tmp_path / "a.log")
    second = WorkerProcess(settings, tmp_path / "b.log")
    with first, ExitStack() as stack:
        if is_later:
            await first.until("restored")
        stack.enter_context(second)
        async with asyncio.timeout(DEADLINE_S):
            while None is first.process.poll() is second.process.poll():
                await asyncio.sleep(0.1)
        ended = first if first.process.poll() is not None else second
        assert ended.process.returncode == 1, ended.text()
        assert "does not keep KAFKA_GROUP_INSTANCE_ID=same (" in ended.text()
        assert "Traceback" not in ended.text()


async def test_a_member_with_an_id_comes_back_to_its_partitions_and_nothing_moves(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    count = 1_600
    await feed(settings_for(**SMALL), ticks(count // 2))
    async with two_workers(settings_for, tmp_path, named=True) as (first, second):
        await read_until(second, topics_on_broker.predictions, count // 2)
        began = len(second.text())
        first.kill()
        first.start()
        await first.until("restored")
        await feed(second.settings, ticks(count // 2, count // 2))
        messages = await read_until(second, topics_on_broker.predictions, count)
        assert "Worker started" in first.text()
        assert "restored" not in second.text()[began:], second.text()
    lost, _, differing = compare(messages, count)
    assert (lost, differing) == (0, 0)
