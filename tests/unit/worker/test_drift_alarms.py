"""What a worker makes of an alarm of drift."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from stream_app.kafka.topic_check import load_topics
from stream_app.messages.codec import encode_drift
from stream_app.messages.schemas import Drift, DriftDetector, DriftInput, Source
from stream_app.ops.metrics import DRIFT_ALARMS
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.worker.drift_alarms import DriftAlarms
from tests.builders import FakeRecord, records, settings, walk

TICKS = list(walk(400, symbol="A"))
NEWEST_S = 3600.0
ALARM = Drift(
    id="A/errors/adwin/1",
    symbol="A",
    input="errors",
    detector="adwin",
    ts=TICKS[-1].ts,
    ratio=2.0,
    values=100,
    false_alarm_days=30.0,
    source=Source(topic="scores", partition=0, offset=7),
)


def alarms_of(ask: Callable[[str], bool] | None) -> DriftAlarms:
    chosen = settings()
    partition = PartitionPipeline(PredictionSettings.of(chosen))
    partition.process(records(TICKS))
    return DriftAlarms(
        topic=load_topics(chosen.topics_file).drift,
        client_settings={},
        symbols=lambda: partition.symbols,
        ask=ask,
        newest_s=NEWEST_S,
    )


def counted() -> float:
    return float(DRIFT_ALARMS.labels("errors", "adwin")._value.get())


@pytest.mark.parametrize(
    ("alarm", "asked"),
    [
        (ALARM, ["A"]),
        (replace(ALARM, ts=TICKS[-1].ts - 3_600_000), ["A"]),
        (replace(ALARM, ts=TICKS[-1].ts - 3_600_001), []),
        (replace(ALARM, symbol="B"), []),
        (None, []),
    ],
)
def test_a_new_alarm_of_a_symbol_of_this_worker_asks_for_a_training(
    alarm: Drift | None, asked: list[str]
) -> None:
    found: list[str] = []

    def ask(name: str) -> bool:
        found.append(name)
        return True

    value = b"no JSON" if alarm is None else encode_drift(alarm)
    before = counted()
    alarms_of(ask).take(FakeRecord(offset=0, value=value, key=b"A"))
    assert found == asked
    assert counted() - before == len(asked)


def test_where_alarms_train_nothing_they_are_counted() -> None:
    before = counted()
    alarms_of(None).take(FakeRecord(offset=0, value=encode_drift(ALARM), key=b"A"))
    assert counted() == before + 1


def test_each_kind_of_alarm_is_counted_from_0_or_the_first_would_be_no_increase() -> None:
    """What Prometheus sees first is no increase, and StreamAppDrift adds up increases."""
    names = {
        (sample.labels["input"], sample.labels["detector"])
        for family in DRIFT_ALARMS.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert names == set(itertools.product(get_args(DriftInput), get_args(DriftDetector)))
