"""Which bars a restore takes, where several topics have had one name."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from stream_app.messages.codec import encode_bar
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.worker.bar_log import BarLog
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
NEW = Origin(topic_id="NEW", is_anew=True)


def test_bars_carry_the_topics_id_and_the_ids_are_as_ever() -> None:
    bars, ids = run(OLD)
    assert ids[20] == f"{TOPIC}-0-20"
    log = taken(bars, "OLD")
    assert log.origin == OLD
    assert len(log.bars(1000)["BTC"]) == len(bars)


def test_bars_of_another_topic_are_left_out_and_the_new_ones_ids_differ() -> None:
    old, old_ids = run(OLD)
    new, new_ids = run(NEW, seed=2)
    log = taken([*old, *new], "NEW")
    assert log.origin == NEW
    assert [bar.close for bar in log.bars(1000)["BTC"]] == [
        bar.close for bar in taken(new, "NEW").bars(1000)["BTC"]
    ]
    assert not set(old_ids) & set(new_ids)
    assert new_ids[20] == f"{TOPIC}@NEW-0-20"


def test_the_ids_stay_once_retention_has_removed_the_other_topics_bars() -> None:
    new, _ = run(NEW)
    assert taken(new, "NEW").origin == NEW


def test_the_ids_of_the_first_ticks_differ_though_all_bars_are_another_topics() -> None:
    old, _ = run(OLD)
    log = taken(old, "NEW", committed=0)
    assert log.origin == NEW
    assert log.bars(1000) == {}
    assert log.newest_offset == -1
    assert log.other_topic_id == "OLD"


@pytest.mark.parametrize(("made_in", "now"), [("", "NEW"), ("OLD", "")])
def test_where_an_id_is_not_known_the_bars_are_taken(made_in: str, now: str) -> None:
    """Bars of before the id was noted, and a broker that tells none."""
    bars, _ = run(Origin(topic_id=made_in))
    log = taken(bars, now)
    assert len(log.bars(1000)["BTC"]) == len(bars)
    assert log.origin == Origin(topic_id=now)
