"""The published JSON Schemas against the code that reads and writes the messages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from stream_app.messages.codec import (
    decode_bar,
    decode_champion,
    decode_drift,
    decode_retrain_event,
    decode_score,
    encode_bar,
    encode_champion,
    encode_drift,
    encode_retrain_event,
    encode_score,
)
from stream_app.messages.schemas import (
    Bar,
    BarForecasts,
    Champion,
    Drift,
    Interval,
    MemberOutput,
    Prediction,
    RetrainEvent,
    Score,
    SkillFigures,
    Source,
    Tick,
)
from stream_app.messages.ticks import decode_tick, encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.plan import PlanFigures
from tests.builders import START_MS, records, settings, walk
from tests.fakes import model_set

CONTRACTS = Path(__file__).parents[2] / "stream_app" / "contracts" / "schemas"
MESSAGES = {
    "tick": Tick,
    "bar": Bar,
    "prediction": Prediction,
    "score": Score,
    "retrain-event": RetrainEvent,
    "champion": Champion,
    "drift": Drift,
}
ADDED = {
    "bar": ["forecasts"],
    "prediction": ["shrinkage", "intervals"],
    "score": ["volatility", "innovation", "prediction"],
    "retrain-event": [
        "waiting_seconds",
        "skipped",
        "last_price",
        "rejected",
        "gate",
        "pinned",
        "plan",
    ],
}
"""Fields that came later: a reader must not expect them of every message on the topic."""
EVENT = RetrainEvent(
    cycle="c",
    state="started",
    trigger="initial",
    timestamp="2022-01-01T00:00:00.000+00:00",
    duration_seconds=0.0,
    lstm_included=True,
    target_seconds=45.0,
    exceeded=False,
    rows=0,
    worker="w",
)


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CONTRACTS / f"{name}.schema.json").read_text())
    return loaded


def problems(name: str, message: Any) -> list[str]:
    validator = Draft7Validator(schema(name), format_checker=Draft7Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(message)]


def described(part: Any) -> Iterable[dict[str, Any]]:
    """Every property at any depth."""
    if isinstance(part, dict):
        yield from part.get("properties", {}).values()
        for inner in part.values():
            yield from described(inner)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_is_valid_and_describes_every_field(name: str) -> None:
    loaded = schema(name)
    Draft7Validator.check_schema(loaded)
    assert set(loaded["properties"]) == {item.name for item in fields(MESSAGES[name])}
    assert all(item["description"] for item in described(loaded) if "type" in item)
    assert len(loaded["examples"]) == 1
    assert problems(name, loaded["examples"][0]) == []


@pytest.mark.parametrize(
    "name", ["bar", "prediction", "score", "retrain-event", "champion", "drift"]
)
def test_our_own_messages_have_all_fields_and_no_others(name: str) -> None:
    loaded = schema(name)
    added = ADDED.get(name, [])
    assert loaded["required"] + added == list(loaded["properties"])
    example = loaded["examples"][0]
    assert example.keys() == loaded["properties"].keys()
    assert problems(name, {**example, "other": 1})
    for field in loaded["required"]:
        assert problems(name, {key: value for key, value in example.items() if key != field})


def test_nested_schemas_have_the_fields_of_their_types() -> None:
    prediction = schema("prediction")["properties"]
    member = prediction["members"]["additionalProperties"]
    assert set(member["properties"]) == {item.name for item in fields(MemberOutput)}
    interval = prediction["intervals"]["items"]
    assert set(interval["properties"]) == {item.name for item in fields(Interval)}
    forecasts = schema("bar")["properties"]["forecasts"]
    assert set(forecasts["properties"]) == {item.name for item in fields(BarForecasts)}
    figures = schema("score")["properties"]["running"]["additionalProperties"]
    assert set(figures["additionalProperties"]["properties"]) == {
        item.name for item in fields(SkillFigures)
    }
    for name in ("prediction", "bar", "score", "drift"):
        source = schema(name)["properties"]["source"]
        assert set(source["properties"]) == {item.name for item in fields(Source)}


def test_examples_show_every_model_of_the_catalog() -> None:
    (prediction,), (event,) = schema("prediction")["examples"], schema("retrain-event")["examples"]
    assert tuple(prediction["members"]) == tuple(event["model_seconds"]) == tuple(CATALOG)
    member = prediction["members"]["lstm"]
    for name in ("LSTM", "", "lst m", "0lstm"):
        assert problems("prediction", {**prediction, "members": {name: member}})


def test_what_the_pipeline_publishes_fits() -> None:
    pipeline = PartitionPipeline(PredictionSettings.of(settings()))
    ticks = list(walk(1600))
    late = replace(ticks[0], ts=ticks[0].ts + 1)
    answers = [pipeline.process(records(ticks[:100]))]
    pipeline.pipeline_of("BTC").models = model_set(trained_to_ts=START_MS)
    answers.append(pipeline.process(records([*ticks[100:], late, ticks[-1]], first=100)))
    assert answers[1].late == answers[1].duplicates == 1
    for answer in answers:
        for value in answer.predictions.values():
            assert problems("prediction", json.loads(value)) == []
        for bar in answer.bars:
            assert problems("bar", json.loads(encode_bar(bar))) == []
        for score in answer.scores:
            assert problems("score", json.loads(encode_score(score))) == []
            assert decode_score(encode_score(score)) == score
    assert answers[1].scores[-1].running["day"]["published"].n > 100
    first, last = answers[0].predictions[-1].members, answers[1].predictions[-1].members
    assert {item.version for item in first.values()} == {"untrained"}
    assert last["kalman"].version == f"{last['lstm'].version}@100"
    assert math.fsum(item.weight for item in last.values()) == pytest.approx(1.0)


def test_a_bar_without_ticks_fits_and_one_with_ticks_has_prices() -> None:
    pipeline = PartitionPipeline(PredictionSettings.of(settings()))
    ticks = list(walk(4))
    pipeline.process(records(ticks[:3]))
    pipeline.pipeline_of("BTC").models = model_set(trained_to_ts=START_MS)
    (empty,) = pipeline.process(records(ticks[3:], first=3)).bars
    assert (empty.ticks, empty.close, empty.source.offset) == (0, None, 2)
    message = json.loads(encode_bar(empty))
    assert problems("bar", message) == []
    assert json.loads(encode_bar(decode_bar(encode_bar(empty)))) == message
    assert problems("bar", {**message, "ticks": 1})
    assert problems("bar", {**schema("bar")["examples"][0], "close": None})
    assert problems("bar", {**message, "close": 1.0})


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        replace(EVENT, data_from=START_MS, symbols=("A",), versions={"A": "v"}),
        replace(EVENT, waiting_seconds={"B": 1.5}, skipped={"C": "why"}, last_price={"A": "why"}),
        replace(
            EVENT,
            rejected={"A": "stale: why"},
            gate={"A": {"lstm.r2": -0.1}},
            pinned={"B": "20220101T000100Z-0f3c9a1b"},
        ),
        replace(
            EVENT,
            plan=PlanFigures(
                symbols=1400,
                fit=1270,
                turn_seconds=2.83,
                busy_seconds=3962.0,
                interval_seconds=3600.0,
                waiting=3,
                age_seconds=3700.0,
                deadline_seconds=-12.0,
            ).as_dict(),
        ),
    ],
)
def test_retrain_events_fit(event: RetrainEvent) -> None:
    assert problems("retrain-event", json.loads(encode_retrain_event(event))) == []


def test_an_event_of_an_older_version_is_read_and_fits() -> None:
    message = json.loads(encode_retrain_event(EVENT))
    for field in ADDED["retrain-event"]:
        del message[field]
    assert problems("retrain-event", message) == []
    assert decode_retrain_event(json.dumps(message).encode()) == EVENT


def test_a_score_of_an_older_version_is_read_and_fits() -> None:
    message = schema("score")["examples"][0]
    for field in ADDED["score"]:
        del message[field]
    assert problems("score", message) == []
    read = decode_score(json.dumps(message).encode())
    assert (read.volatility, read.innovation) == (None, None)
    assert problems("score", json.loads(encode_score(read))) == []


def test_the_examples_are_what_the_codec_reads() -> None:
    tick = schema("tick")["examples"][0]
    key = tick["symbol"].encode()
    decoded = decode_tick(json.dumps(tick).encode(), key, tick["ts"], 0.0)
    assert isinstance(decoded, Tick)
    assert json.loads(encode_tick(decoded)) == tick
    bar = schema("bar")["examples"][0]
    assert json.loads(encode_bar(decode_bar(json.dumps(bar).encode()))) == bar
    event = schema("retrain-event")["examples"][0]
    assert (
        json.loads(encode_retrain_event(decode_retrain_event(json.dumps(event).encode()))) == event
    )


CHAMPION: dict[str, Any] = schema("champion")["examples"][0]


def test_a_champion_is_read_as_it_was_written_and_unknown_fields_are_dropped() -> None:
    value = json.dumps({**CHAMPION, "other": 1}).encode()
    assert json.loads(encode_champion(decode_champion(value))) == CHAMPION


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": ""},
        {"symbol": "A B"},
        {"by": "me"},
        {"pinned": 1},
        {"version": None},
        {"since": "2022-01-01T00:00:00"},
        {"since": "noon"},
    ],
)
def test_what_is_no_champion_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a champion"):
        decode_champion(json.dumps(CHAMPION | change).encode())


DRIFT: dict[str, Any] = schema("drift")["examples"][0]


def test_an_alarm_of_drift_is_read_as_it_was_written_and_unknown_fields_are_dropped() -> None:
    value = json.dumps({**DRIFT, "other": 1}).encode()
    assert json.loads(encode_drift(decode_drift(value))) == DRIFT


@pytest.mark.parametrize(
    "change", [{"symbol": "A B"}, {"input": "prices"}, {"detector": "ddm"}, {"ts": 1.5}]
)
def test_what_is_no_alarm_of_drift_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an alarm of drift"):
        decode_drift(json.dumps(DRIFT | change).encode())


TICK: dict[str, Any] = {"symbol": "A", "price": 1.0, "ts": START_MS}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"other": 1},
        {"size": None, "source": None},
        {"size": 0, "source": ""},
        {"price": 1},
        {"symbol": "A" * 64},
        {"symbol": "a.b_c:d/e-f"},
        {"symbol": "A" * 65},
        {"symbol": ""},
        {"symbol": "-A"},
        {"symbol": "A B"},
        {"symbol": 1},
        {"price": 0},
        {"price": -1.0},
        {"price": 1e16},
        {"price": "1"},
        {"price": True},
        {"price": None},
        {"ts": 1_640_995_200},
        {"ts": 1_640_995_200_000_000},
        {"ts": START_MS + 0.5},
        {"ts": str(START_MS)},
        {"size": -1},
        {"size": "1"},
        {"source": "x" * 65},
        {"source": 7},
    ],
)
def test_the_schema_and_the_codec_agree_on_what_is_a_tick(change: dict[str, Any]) -> None:
    message = TICK | change
    key = str(message["symbol"]).encode()
    decoded = decode_tick(json.dumps(message).encode(), key, 4_200_000_000_000, 0.0)
    assert isinstance(decoded, Tick) is (problems("tick", message) == [])


@pytest.mark.parametrize("field", ["symbol", "price", "ts"])
def test_both_miss_an_absent_field(field: str) -> None:
    message = {key: value for key, value in TICK.items() if key != field}
    assert not isinstance(
        decode_tick(json.dumps(message).encode(), b"A", 4_200_000_000_000, 0.0), Tick
    )
    assert problems("tick", message)
