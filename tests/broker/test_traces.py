"""The trace of each tick is on its prediction or its dead letter, also after it was sent again."""

from __future__ import annotations

from pathlib import Path

import orjson

from stream_app.dead_letters.letter import Filter
from stream_app.dead_letters.replay import open_dead_letters
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics
from stream_app.messages.ticks import encode_tick
from tests.builders import START_MS, walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, read_all, read_until

TICKS = 300


def parent(number: int) -> bytes:
    return f"00-{number + 1:032x}-{number + 1:016x}-01".encode()


async def test_each_trace_is_passed_on_and_no_message_has_one_that_its_tick_had_not(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    ticks = topics_on_broker.ticks.name
    sent: dict[tuple[int, int], list[tuple[str, bytes]]] = {}
    async with connected_producer(settings) as producer:
        for number, tick in enumerate(walk(TICKS, symbol="A")):
            headers = [("traceparent", parent(number))] if number % 3 else []
            if number % 10 == 9:
                headers.append(("other", b"not passed on"))
            # Each seventh one has another's key: a dead letter.
            key = b"B" if number % 7 == 0 else b"A"
            made = await producer.send_and_wait(
                ticks, encode_tick(tick), key=key, partition=0, headers=headers
            )
            sent[made.partition, made.offset] = [h for h in headers if h[0] == "traceparent"]
    letters = len(range(0, TICKS, 7))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics_on_broker.predictions, TICKS - letters)
        assert worker.terminate() == 0, worker.text()

    answered = {}
    for record in await read_all(settings, topics_on_broker.predictions):
        source = orjson.loads(record.value or b"")["source"]
        answered[source["partition"], source["offset"]] = list(record.headers)
    refused = {}
    for record in await read_all(settings, topics_on_broker.dead_letters):
        told = dict(record.headers)
        place = int(told["partition"]), int(told["offset"])
        refused[place] = [header for header in record.headers if header[0] == "traceparent"]
    assert len(refused) == letters
    assert answered | refused == sent

    mended = settings.model_copy(update={"tick_key": "ignored"})
    async with open_dead_letters(mended) as dead_letters:
        plan = await dead_letters.plan(Filter(), now_ms=START_MS + 10_000_000_000)
        assert await dead_letters.replay(plan) == letters
    again = (await read_all(settings, topics_on_broker.ticks))[TICKS:]
    assert len(again) == letters
    assert [h for record in again for h in record.headers if h[0] == "traceparent"] == [
        header for place in sorted(refused) for header in refused[place]
    ]
