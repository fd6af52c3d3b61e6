"""Who is sent what and when: channels, rings, resume, slow browsers. Without a network."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from stream_app.dashboard.client import MOST_PENDING_BYTES, Client
from stream_app.dashboard.hub import ANSWER, HEARTBEAT, MOST_CHANNELS, SECOND, STEP_S, Hub
from stream_app.dashboard.looking import Looking
from stream_app.dashboard.ring import KEPT_S, Ring
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import TablePage
from tests.builders import START_MS
from tests.topic_records import FakeClock, bar, prediction, read_model, retrain

BOUNDS = Bounds(retrain_target_s=45.0, retrain_interval_s=3600.0)
LIVE = Looking(symbol="BTC-USD")


class Stage:
    """A hub whose time goes on with its steps."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.model: ReadModel = read_model(self.clock)
        self.hub = Hub(self.model, BOUNDS, self.clock.monotonic)
        self.ticks = 0

    def tick(self, price: float = 100.0) -> None:
        self.ticks += 1
        self.model.take_answers([prediction(START_MS + 1000 * self.ticks, price=price)], 1)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.passed_s += STEP_S
            self.hub.step()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def pending(client: Client) -> bytes:
    """What would be written next, and is taken."""
    data = bytes(client._pending)
    client._pending.clear()
    return data


def events(data: bytes) -> list[tuple[str, str, Any]]:
    """Each event's name, id and value."""
    found = re.findall(rb"event: (\w+)\nid: ([\w-]+)\ndata: (.*)\n\n", data)
    return [(name.decode(), id_.decode(), orjson.loads(value)) for name, id_, value in found]


def named(data: bytes, name: str) -> list[Any]:
    return [value for event, _, value in events(data) if event == name]


def last_id(data: bytes) -> str:
    return events(data)[-1][1]


def test_a_page_begins_with_all_that_it_shows(stage: Stage) -> None:
    stage.tick()
    data = pending(stage.hub.join(LIVE, None))
    assert data.startswith(b"retry: 2000\n\n")
    assert [name for name, _, _ in events(data)] == [
        "history", "health", "table", "answer", "about", "retrains", "letters", "group",
    ]  # fmt: skip
    assert len({id_ for _, id_, _ in events(data)}) == 1


def test_a_page_without_a_symbol_gets_no_symbols_channels(stage: Stage) -> None:
    names = {name for name, _, _ in events(pending(stage.hub.join(Looking(), None)))}
    assert names == {"health", "table", "retrains", "letters", "group"}


def prices(data: bytes) -> list[float]:
    return [value["last_price"] for value in named(data, "answer")]


def test_the_newest_value_comes_at_once_and_only_where_it_changed(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    pending(client)
    for price in (1.0, 2.0, 3.0):
        stage.tick(price)
    stage.step()
    assert prices(pending(client)) == [3.0]
    stage.step(SECOND)
    assert prices(pending(client)) == []
    stage.tick(4.0)
    stage.step()
    assert prices(pending(client)) == [4.0]


def test_values_that_never_end_come_four_times_a_second_each_the_newest(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    pending(client)
    for number in range(1, 3 * SECOND + 1):
        stage.tick(float(number))
        stage.step()
    assert prices(pending(client)) == [float(n) for n in range(1, 3 * SECOND + 1, ANSWER)]
    assert ANSWER * STEP_S == 0.25


def test_only_what_is_looked_at_is_sent(stage: Stage) -> None:
    client = stage.hub.join(Looking(symbol="ETH-USD", page=TablePage(contains="zzz")), None)
    pending(client)
    stage.tick()
    stage.step(SECOND)
    data = pending(client)
    assert named(data, "answer") == []
    assert named(data, "table")[0]["rows"] == []


def test_bars_come_when_they_close_to_those_who_look_at_bars(stage: Stage) -> None:
    day = stage.hub.join(Looking(symbol="BTC-USD", view="day"), None)
    live = stage.hub.join(LIVE, None)
    for client in (day, live):
        pending(client)
    stage.model.take("bars", bar(1))
    stage.step(SECOND)
    assert [len(value["columns"]["ts"]) for value in named(pending(day), "history")] == [1]
    assert named(pending(live), "history") == []


def test_two_browsers_get_the_same_events_also_when_one_has_just_come(stage: Stage) -> None:
    first = stage.hub.join(LIVE, None)
    pending(first)
    stage.tick(5.0)
    second = stage.hub.join(LIVE, None)
    stage.step(SECOND)
    for client in (first, second):
        assert named(pending(client), "answer")[-1]["last_price"] == 5.0


def test_numbers_only_grow(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    for _ in range(20):
        stage.tick()
        stage.step()
    numbers = [int(id_.rpartition("-")[2]) for _, id_, _ in events(pending(client))]
    assert numbers == sorted(numbers)


def test_a_browser_that_comes_back_gets_every_value_that_it_missed_and_no_other(
    stage: Stage,
) -> None:
    client = stage.hub.join(LIVE, None)
    stage.tick(1.0)
    stage.step()
    seen = last_id(pending(client))
    stage.hub.leave(client)
    for price in (2.0, 3.0, 4.0):
        stage.tick(price)
        stage.step(ANSWER)
    data = pending(stage.hub.join(LIVE, seen))
    assert [value["last_price"] for value in named(data, "answer")] == [2.0, 3.0, 4.0]
    assert named(data, "history") == []
    assert len(named(data, "health")) <= 1


@pytest.mark.parametrize("last", ["other-3", "nonsense", "", "-", "{run}-", "{run}-x", "{run}-²"])
def test_an_id_of_another_process_or_none_gives_the_newest_state(stage: Stage, last: str) -> None:
    stage.tick()
    run = last_id(pending(stage.hub.join(LIVE, None))).partition("-")[0]
    data = pending(stage.hub.join(LIVE, last.replace("{run}", run)))
    assert len(named(data, "history")) == 1


def test_who_was_away_for_more_than_five_minutes_begins_anew(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    other = stage.hub.join(LIVE, None)
    seen = last_id(pending(client))
    stage.hub.leave(client)
    for _ in range(int(KEPT_S) + 10):
        stage.tick()
        stage.step(SECOND)
        pending(other)
    assert len(named(pending(stage.hub.join(LIVE, seen)), "history")) == 1


def test_a_channel_goes_on_for_five_minutes_after_its_last_browser(stage: Stage) -> None:
    stage.hub.leave(stage.hub.join(LIVE, None))
    before = stage.hub.channels
    stage.step(int(SECOND * KEPT_S) - 1)
    assert stage.hub.channels == before
    stage.step(SECOND + 1)
    assert stage.hub.channels == 0


def test_clicking_through_symbols_does_not_fill_the_memory(stage: Stage) -> None:
    for number in range(2 * MOST_CHANNELS):
        stage.hub.leave(stage.hub.join(Looking(symbol=f"S{number}"), None))
        stage.step()
    assert stage.hub.channels <= MOST_CHANNELS + 10


async def test_a_browser_that_takes_nothing_is_dropped(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    assert await client.take() is not None
    client.offer(b"x" * MOST_PENDING_BYTES)
    client.offer(b"x")
    assert client.is_dropped
    assert await client.take() is None


def test_a_heartbeat_comes_each_fifteen_seconds(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    stage.step(2 * HEARTBEAT)
    assert pending(client).count(b": beat\n\n") == 2


def test_a_section_without_news_costs_nothing(stage: Stage) -> None:
    client = stage.hub.join(LIVE, None)
    stage.model.take("retrain_events", retrain(1))
    stage.step(SECOND)
    assert len(named(pending(client), "retrains")) == 2
    stage.step(4 * SECOND)
    assert named(pending(client), "retrains") == []


def test_a_text_with_line_breaks_stays_one_event(stage: Stage) -> None:
    stage.tick()
    record = prediction(START_MS + 9000, degraded=["a\n\nevent: health\ndata: {}\n\n"])
    stage.model.take_answers([record], 1)
    data = pending(stage.hub.join(LIVE, None))
    assert len(named(data, "health")) == 1
    assert named(data, "answer")[0]["degraded"] == ["a\n\nevent: health\ndata: {}\n\n"]


def test_the_ring_forgets_what_is_old_and_says_so() -> None:
    clock = FakeClock()
    ring = Ring(clock.monotonic, newest_only=False, began=10)
    assert ring.since(9) is None
    for number in (11, 15, 20):
        ring.add(number, b"%d" % number)
    assert [item.number for item in ring.since(11) or ()] == [15, 20]
    clock.passed_s = KEPT_S + 1
    ring.add(30, b"30")
    assert ring.since(11) is None
    assert [item.number for item in ring.since(20) or ()] == [30]


def test_a_ring_of_what_replaces_itself_keeps_the_newest() -> None:
    ring = Ring(FakeClock().monotonic, newest_only=True, began=0)
    for number in range(1, 100):
        ring.add(number, b"x")
    assert len(ring) == 1
    assert [item.number for item in ring.since(3) or ()] == [99]


async def test_a_browser_that_missed_more_than_may_wait_is_told_all_of_it_at_once(
    stage: Stage,
) -> None:
    """Such as one on a machine that slept for minutes while four answers a second came."""
    client = stage.hub.join(LIVE, None)
    stage.tick()
    stage.step()
    seen = [id_ for _, id_, _ in events(pending(client))][-1]
    stage.hub.leave(client)
    said = {
        "prediction": 598.6637353057943,
        "weight": 0.25,
        "version": "20261126T020255Z-e4e5476a@35091",
        "age_s": 2285010.301,
        "shrinkage": 0.2199,
    }
    members = dict.fromkeys(("kalman", "random_forest", "lightgbm", "lstm"), said)
    weak = ["late tick: 12 s behind", "lstm: its data ended 33 days ago, allowed are 30"]
    for _ in range(int(0.95 * KEPT_S / STEP_S / ANSWER)):
        stage.ticks += 1
        answer = prediction(
            START_MS + 1000 * stage.ticks, price=598.66313995948, members=members, degraded=weak
        )
        stage.model.take_answers([answer], 1)
        stage.step(ANSWER)
    again = stage.hub.join(LIVE, seen)
    assert not again.is_dropped
    data = await again.take()
    assert data is not None
    assert len(data) > MOST_PENDING_BYTES
    assert [value["ts"] for name, _, value in events(data) if name == "answer"][-1] == (
        START_MS + 1000 * stage.ticks
    )
    again.offer(b"x" * MOST_PENDING_BYTES)
    again.offer(b"x")
    assert again.is_dropped
