"""Which bars a restore takes, where several topics have had one name."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_app.messages.codec import encode_bar
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.bar_log import BarLog
from tests.builders import FakeRecord, records, settings, walk

TOPIC = "market.ticks.v1"


def run(origin: Origin, seed: int = 1) -> tuple[list[FakeRecord], list[str]]:
    """The bars and the prediction ids of some ticks that come from a topic."""
    pipeline = PartitionPipeline(PredictionSettings.of(settings()))
    pipeline.origin = origin
    answer = pipeline.process(records(walk(100, seed=seed)))
    bars = [FakeRecord(number, encode_bar(bar), b"BTC") for number, bar in enumerate(answer.bars)]
    return bars, [prediction.id for prediction in answer.predictions]


def taken(bars: list[FakeRecord], topic_id: str, committed: int = sys.maxsize) -> BarLog:
    log = BarLog(TOPIC, committed, topic_id=topic_id, bar_s=60)
    for bar in bars:
        record: Any = bar
        log.take(record)
    return log


OLD = Origin(topic_id="OLD")
NEW = Origin(topic_id="NEW")


def of_a_version_that_said_less(bars: list[FakeRecord], *keys: str) -> list[FakeRecord]:
    """The same bars without parts of their states."""
    made = []
    for bar in bars:
        message = orjson.loads(bar.value or b"")
        for key in keys:
            del message["state"][key]
        made.append(replace(bar, value=orjson.dumps(message)))
    return made


def test_ids_name_the_topic_from_its_first_tick_on_and_bars_carry_its_id() -> None:
    assert taken([], "OLD", committed=0).origin == OLD
    bars, ids = run(OLD)
    assert ids[20] == f"{TOPIC}@OLD-0-20"
    log = taken(bars, "OLD")
    assert log.origin == OLD
    assert len(log.take_closed(1000)["BTC"]) == len(bars)


def test_no_id_repeats_though_the_broker_is_wiped_again_and_again() -> None:
    """Nothing is left but the topic's id, which is another one each time."""
    seen: set[str] = set()
    for topic_id in ("A1", "B2", "C3"):
        _, ids = run(taken([], topic_id, committed=0).origin)
        assert len(ids) == 100
        assert not seen & set(ids)
        seen |= set(ids)


@pytest.mark.parametrize(
    "missing", [("is_anew",), ("is_anew", "topic_id")], ids=["no form of ids", "nor a topic's id"]
)
def test_where_an_older_version_began_the_ids_stay_as_they_were(missing: tuple[str, ...]) -> None:
    """Over the update, over restarts after it, and when the older bars have expired."""
    old, old_ids = run(Origin(topic_id="OLD", is_named=False))
    old = of_a_version_that_said_less(old, *missing)
    log = taken(old, "OLD")
    assert log.origin == Origin(topic_id="OLD", is_named=False)
    assert len(log.take_closed(1000)["BTC"]) == len(old)  # and the window is whole
    later, ids = run(log.origin)
    assert ids == old_ids
    assert ids[20] == f"{TOPIC}-0-20"
    assert taken([*old, *later], "OLD").origin == log.origin
    assert taken(later, "OLD").origin == log.origin


def test_after_an_update_a_wiped_broker_repeats_no_id_of_the_older_version() -> None:
    old, old_ids = run(Origin(topic_id="OLD", is_named=False))
    assert taken(old, "OLD").origin.suffix == ""
    _, ids = run(taken([], "NEW", committed=0).origin)
    assert not set(old_ids) & set(ids)


def test_bars_of_another_topic_are_left_out_and_the_new_ones_ids_differ() -> None:
    old, old_ids = run(OLD)
    new, new_ids = run(NEW, seed=2)
    log = taken([*old, *new], "NEW")
    assert log.origin == NEW
    assert [bar.close for bar in log.take_closed(1000)["BTC"]] == [
        bar.close for bar in taken(new, "NEW").take_closed(1000)["BTC"]
    ]
    assert not set(old_ids) & set(new_ids)
    assert new_ids[20] == f"{TOPIC}@NEW-0-20"


def test_the_ids_stay_once_retention_has_removed_the_other_topics_bars() -> None:
    new, _ = run(NEW)
    assert taken(new, "NEW").origin == NEW


@pytest.mark.parametrize("is_named", [True, False])
def test_the_ids_of_the_first_ticks_differ_though_all_bars_are_another_topics(
    *, is_named: bool
) -> None:
    old, _ = run(Origin(topic_id="OLD", is_named=is_named))
    log = taken(old, "NEW", committed=0)
    assert log.origin == NEW
    assert log.take_closed(1000) == {}
    assert log.newest_offset == -1
    assert log.other_topic_id == "OLD"


@pytest.mark.parametrize(("made_in", "now"), [("", "NEW"), ("OLD", "")])
def test_where_an_id_is_not_known_the_bars_are_taken(made_in: str, now: str) -> None:
    """Bars of before the id was noted, and a broker that tells none."""
    bars, _ = run(Origin(topic_id=made_in, is_named=False))
    log = taken(bars, now)
    assert len(log.take_closed(1000)["BTC"]) == len(bars)
    assert log.origin == Origin(topic_id=now, is_named=False)


def test_a_broker_that_tells_no_ids_leaves_them_out() -> None:
    _, ids = run(taken([], "", committed=0).origin)
    assert ids[20] == f"{TOPIC}-0-20"
