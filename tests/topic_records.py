"""Records as they stand on the topics that the dashboard reads, and a read model to put them in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from stream_app.dead_letters.letter import letter_of
from stream_app.kafka.group import GroupMember
from stream_app.kafka.place import Place
from stream_app.messages.codec import encode_drift, encode_retrain_event
from stream_app.messages.records import DeadLetter
from stream_app.messages.schemas import Drift, Rejection, RetrainEvent, Source
from stream_app.overview.read_model import ReadModel
from tests.builders import START_MS, FakeRecord

HORIZON_S = 300
WEIGHTS = {"kalman": 0.1, "random_forest": 0.3, "lightgbm": 0.35, "lstm": 0.25}
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class FakeClock:
    """A wall clock and a monotonic one that go on together when a test says so."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s)

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s


def read_model(clock: FakeClock) -> ReadModel:
    """One that has been connected, and has read all topics."""
    model = ReadModel(clock)
    model.note_answer()
    model.reading.newest_read = model.reading.history_read = True
    return model


def prediction(
    ts: int, *, symbol: str = "BTC-USD", price: float = 100.0, written_ms: int = 0, **more: Any
) -> FakeRecord:
    members = {
        name: {"prediction": price * 1.001, "weight": weight, "version": "v1", "age_s": 60.0}
        for name, weight in WEIGHTS.items()
    }
    message = {
        "id": f"market.ticks.v1-0-{ts}",
        "symbol": symbol,
        "ts": ts,
        "target_ts": ts + 1000 * HORIZON_S,
        "horizon_s": HORIZON_S,
        "last_price": price,
        "prediction": price * 1.001,
        "bias_correction": 0.0,
        "members": members,
        "degraded": [],
        "source": {"topic": "market.ticks.v1", "partition": 0, "offset": ts - START_MS},
        "intervals": [
            {"level": 0.9, "low": price * 0.99, "high": price * 1.01},
            {"level": 0.5, "low": price * 0.997, "high": price * 1.003},
        ],
    }
    value = orjson.dumps(message | more)
    return FakeRecord(
        offset=ts - START_MS, value=value, key=symbol.encode(), timestamp=written_ms or ts
    )


def bar(number: int, *, offset: int | None = None, close: float | None = 100.0, **more: Any) -> Any:
    ts_open = START_MS + 1000 * HORIZON_S * number
    message = {
        "symbol": "BTC-USD",
        "ts_open": ts_open,
        "ts_last": ts_open + 299_000,
        "bar_s": 300,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": 1.0,
        "ticks": 0 if close is None else 4,
        "empty_before": 0,
        "forecast": 0.001,
        "horizon_s": HORIZON_S,
        "state": {"anything": [1, 2, 3]},
        "source": {"topic": "market.ticks.v1", "partition": 0, "offset": 7},
    }
    place = number if offset is None else offset
    message["source"] = {"topic": "market.ticks.v1", "partition": 0, "offset": place}
    return FakeRecord(offset=place, value=orjson.dumps(message | more), key=b"BTC-USD")


def retrain(number: int = 1, state: str = "succeeded", **more: Any) -> FakeRecord:
    seconds = {"kalman": 0.3, "random_forest": 6.0, "lightgbm": 1.5, "lstm": 20.0 + number}
    event = RetrainEvent(
        cycle=f"c{number}",
        state="succeeded",
        trigger="scheduled",
        timestamp=(NOON - timedelta(hours=1) + timedelta(minutes=number)).isoformat(),
        duration_seconds=21.0 + number,
        model_seconds=seconds,
        lstm_included=True,
        target_seconds=45.0,
        exceeded=False,
        rows=8000,
        versions={"BTC-USD": f"v{number}"},
        symbols=("BTC-USD",),
        worker="host-1",
    )
    value = encode_retrain_event(replace(event, state=state, **more))  # type: ignore[arg-type]
    return FakeRecord(offset=number, value=value, key=b"host-1")


def dead_letter(
    offset: int, *, reason: str = "not_json", value: bytes = b"nope", detail: str = "line 1"
) -> FakeRecord:
    refused = FakeRecord(offset=offset, value=value, key=b"BTC-USD")
    made = letter_of(DeadLetter(record=refused, rejection=Rejection(reason=reason, detail=detail)))
    return FakeRecord(
        offset=offset, value=made.value, key=made.key, headers=made.headers, timestamp=START_MS
    )


def scored(number: int, **more: Any) -> FakeRecord:
    """What became of a bar's forecasts, with the figures of as many outcomes as its number."""
    ts_open = START_MS + 1000 * HORIZON_S * number
    subjects = ("kalman", "random_forest", "lightgbm", "lstm", "ensemble", "published")
    figures = {
        "n": number,
        "mse_skill": 0.02,
        "mse_skill_se": 0.01,
        "mae_skill": 0.01,
        "hit_rate": 0.5,
        "cw_t": None,
    }
    running = dict.fromkeys(("day", "week"), dict.fromkeys((*subjects, "last_price"), figures))
    message = {
        "symbol": "BTC-USD",
        "ts_open": ts_open,
        "ts_target": ts_open + 1000 * HORIZON_S,
        "horizon_s": HORIZON_S,
        "last_price": 100.0,
        "outcome": 100.1,
        "errors": dict.fromkeys((*subjects, "last_price"), 0.001),
        "coverage": {"day": {"0.5": 0.48, "0.9": 0.91}},
        "running": running,
        "harm": 1.0,
    }
    value = orjson.dumps(message | more)
    written_ms = int(NOON.timestamp() * 1000)
    return FakeRecord(offset=number, value=value, key=b"BTC-USD", timestamp=written_ms)


def alarm(
    number: int, *, symbol: str = "BTC-USD", ratio: float = 2.0, days: float = 30.0
) -> FakeRecord:
    """Of drift, at the outcome of `scored(number)`."""
    ts = START_MS + 1000 * HORIZON_S * (number + 1)
    drift = Drift(
        id=f"{symbol}/errors/page_hinkley/{ts}",
        symbol=symbol,
        input="errors",
        detector="page_hinkley",
        ts=ts,
        ratio=ratio,
        values=500,
        false_alarm_days=days,
        source=Source(topic="market.scores.v1", partition=0, offset=max(0, number)),
    )
    return FakeRecord(offset=max(0, number), value=encode_drift(drift), key=symbol.encode())


def champion(version: str, since: datetime = NOON, **more: Any) -> FakeRecord:
    message = {
        "symbol": "BTC-USD",
        "version": version,
        "since": since.isoformat(),
        "by": "retrain",
        "why": "better on the holdout",
        "pinned": False,
        "worker": "host-1",
    }
    return FakeRecord(offset=0, value=orjson.dumps(message | more), key=b"BTC-USD")


def place(partition: int, *, end: int, committed: int | None, **more: Any) -> Place:
    known: dict[str, Any] = {"topic_id": "a", "first": 0, "committed_topic_id": "a"} | more
    return Place(
        topic="market.ticks.v1",
        group="stream-app",
        partition=partition,
        end=end,
        committed=committed,
        **known,
    )


def worker(*partitions: int) -> GroupMember:
    return GroupMember(name="worker-1", host="/127.0.0.1", partitions=partitions)


def fill(model: ReadModel) -> None:
    """Everything that can be shown of BTC-USD but for its answers and the group."""
    for number in range(60):
        forecasts = {"published": 0.0004, "intervals": [[0.5, -0.002, 0.002], [0.9, -0.006, 0.006]]}
        model.take("bars", bar(number, close=100.0 + number % 7, forecasts=forecasts))
        model.take("scores", scored(number))
    for number in range(1, 40):
        model.take("retrain_events", retrain(number))
    model.take("champions", champion("v38"))
    model.take("champions", champion("v39"))
    for offset in range(5):
        model.take("dead_letters", dead_letter(offset, reason="bad_price"))
