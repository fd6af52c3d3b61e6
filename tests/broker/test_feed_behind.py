from __future__ import annotations

import pytest

from stream_app.feed.newest import LOOKED_AT, newest_on_topic
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import TickMapping, decoder_for
from stream_app.messages.ticks import decode_tick
from tests.broker.records import send
from tests.builders import START_MS
from tests.conftest import SettingsFor


@pytest.mark.parametrize("count", [1, LOOKED_AT + 300])
async def test_the_newest_time_of_each_symbol_is_found(
    count: int, topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    settings = settings_for()
    client = client_settings(settings)
    topic = topics_on_broker.ticks
    partitions = list(range(topic.partitions))

    async def newest() -> dict[str, int]:
        return await newest_on_topic(
            client, topic.name, partitions, decode=decode_tick, max_future_ms=30_000
        )

    assert await newest() == {}
    ticks = [
        Tick(symbol=symbol, price=5.0, ts=START_MS + nth * 1000 + ahead)
        for nth in range(count)
        for symbol, ahead in (("A", 0), ("B", 500))
    ]

    async with connected_producer(settings) as producer:
        await produce(
            ticks,
            producer=producer,
            topic=topic.name,
            pace=Pace(Speed()),
            on_progress=lambda *_: None,
        )
    await send(client, topic.name, [b"no tick", None])

    last = START_MS + (count - 1) * 1000
    assert await newest() == {"A": last, "B": last + 500}


async def test_only_what_a_worker_answers_counts(
    topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    """A tick in a mapped form counts. One of the future, which is a dead letter, does not."""
    client = client_settings(settings_for())
    topic = topics_on_broker.ticks
    times = (START_MS, 4_000_000_000_000)
    await send(client, topic.name, [b'{"symbol":"A","p":5,"ts":%d}' % ts for ts in times])
    assert await newest_on_topic(
        client,
        topic.name,
        list(range(topic.partitions)),
        decode=decoder_for(TickMapping(fields={"price": "p"}, key_required=False)),
        max_future_ms=30_000,
    ) == {"A": START_MS}
