from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import assume, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.bars.contexts import bar_vectors
from stream_app.bars.features import LOOKBACK
from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.schemas import Bar, Prediction, Tick
from stream_app.models.base import Rows
from stream_app.models.model_set import ModelSet
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.bar_log import BarLog
from tests.builders import START_MS, FakeRecord, bar_record, records, settings
from tests.fakes import ConstantMember, FeatureMember, model_set

SETTINGS = settings()
BAR_MS = SETTINGS.bar_ms


def pipeline(symbols: tuple[str, ...] = ("A", "B")) -> PartitionPipeline:
    made = PartitionPipeline(PredictionSettings.of(SETTINGS))
    for name in symbols:
        made.pipeline_of(name).models = model_set(trained_to_ts=START_MS)
    return made


@st.composite
def tick_streams(draw: st.DrawFn, ticks_a_bar: float = 1.7) -> list[FakeRecord]:
    """Two symbols, irregular times, some late, some ahead, some twice, some bad.

    Appended as they come, or all long after: the log's time tells what is ahead, or tells nothing.
    """
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count = draw(st.integers(250, 500))
    stamps = START_MS + np.cumsum(rng.exponential(BAR_MS / ticks_a_bar, count)).astype(int)
    appended = stamps.copy() if draw(st.booleans()) else np.full(count, stamps[-1] + 10**9)
    stamps -= (rng.random(count) < 0.05) * rng.integers(0, 2 * BAR_MS, count)
    stamps += (rng.random(count) < 0.03) * rng.integers(0, 290_000, count)
    # Some prices in pence, and all of them from somewhere on.
    factors = np.where(rng.random(count) < 0.01, 100.0, 1.0)
    factors[int(count * rng.uniform(0.3, 2)) :] *= 0.1
    prices = np.exp(rng.normal(3, 0.01, count)) * factors
    ticks = [
        Tick(symbol=str(rng.choice(["A", "B"])), price=float(price), ts=int(ts))
        for price, ts in zip(prices, stamps, strict=True)
    ]
    out = records(ticks)
    for item, timestamp in zip(out, appended.tolist(), strict=True):
        item.timestamp = timestamp
    for at in rng.integers(0, count, 10):
        out[at].value = b"{"
    for at in rng.integers(1, count, 10):
        out[at].value, out[at].key = out[at - 1].value, out[at - 1].key
    return out


def same(one: Any, two: Any) -> None:
    """Equal in all that is no float; floats within 1e-6 relative."""
    if isinstance(one, float) and isinstance(two, float):
        assert two == pytest.approx(one, rel=1e-6, abs=1e-12, nan_ok=True)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            same(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            same(left, right)
    else:
        assert one == two


def merged(answers: list[Answer]) -> dict[str, Any]:
    return {
        "predictions": [asdict(p) for answer in answers for p in answer.predictions],
        "bars": [
            {key: value for key, value in asdict(b).items() if key != "state"}
            | {"state": {key: value for key, value in b.state.items() if key != "floor"}}
            for answer in answers
            for b in answer.bars
        ],
        "scores": [asdict(score) for answer in answers for score in answer.scores],
        "dead": [d.record.offset for answer in answers for d in answer.dead_letters],
        "late": sum(answer.late for answer in answers),
        "ahead": sum(answer.ahead for answer in answers),
        "jumps": sum(answer.jumps for answer in answers),
        "duplicates": sum(answer.duplicates for answer in answers),
    }


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams(), st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_a_batch_of_ticks_gives_what_one_tick_at_a_time_gives(
    stream: list[FakeRecord], sizes: list[int]
) -> None:
    one, many = pipeline(), pipeline()
    singly = merged([one.process([item]) for item in stream])
    answers: list[Answer] = []
    at = 0
    while at < len(stream):
        size = sizes[len(answers) % len(sizes)]
        answers.append(many.process(stream[at : at + size]))
        at += size
    batched = merged(answers)
    assert len(singly["predictions"]) + len(singly["dead"]) == len(stream)
    assert singly["late"] > 0
    assert singly["duplicates"] > 0
    event(f"jumps: {min(singly['jumps'], 3)}")
    event(f"ticks ahead: {min(singly['ahead'], 3)}")
    same(singly, batched)


def versions(count: int) -> list[ModelSet]:
    """Sets of models as a registry would hold them: each its own noise, answers and version."""
    return [
        model_set(
            {
                name: FeatureMember(scale * (1 + number))
                for name, scale in (("random_forest", 1e-3), ("lightgbm", -2e-3), ("lstm", 5e-4))
            },
            version=f"v{number}",
            trained_to_ts=START_MS,
            q_level=2e-7 * (1 + number),
        )
        for number in range(count)
    ]


class Log:
    """The bars topic and the registry, as a restart finds them."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self.replayed = range(0)
        """By the last restart."""
        self.champions: list[ModelSet] = []

    def publish(self, answer: Answer) -> None:
        self.bars.extend(decode_bar(encode_bar(bar)) for bar in answer.bars)

    def restart(self, stream: list[FakeRecord], committed: int) -> PartitionPipeline:
        log = BarLog("market.ticks.v1", committed, topic_id="", bar_s=SETTINGS.bar_seconds)
        for bar in self.bars:
            log.take(bar_record(bar))
        by_version = {item.version: item for item in self.champions}
        made = PartitionPipeline(PredictionSettings.of(SETTINGS))
        for name, found in log.take_closed(SETTINGS.window_bars).items():
            half = len(found) // 2  # one that stood by has had a part of them before
            made.pipeline_of(name).recall(found[:half])
            made.pipeline_of(name).recall(found[half:])
        covered = log.covered()
        for name in covered:
            last, restored = log.last_of(name), made.pipeline_of(name)
            assert last is not None
            restored.resume(last, by_version.get(last.state["version"]), origin=Origin())
            if self.champions:
                restored.models = self.champions[-1]
        self.replayed = range(log.floor, committed)
        for at in range(log.floor, committed, 7):
            made.replay(stream[at : min(at + 7, committed)], covered)
        made.position = committed
        return made


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams(), st.floats(0.1, 0.95), st.integers(1, 40))
def test_a_restart_at_any_offset_goes_on_as_if_nothing_had_happened(
    stream: list[FakeRecord], where: float, size: int
) -> None:
    log = Log()
    log.champions = versions(1)
    undisturbed = PartitionPipeline(PredictionSettings.of(SETTINGS))
    for name in ("A", "B"):
        undisturbed.pipeline_of(name).models = log.champions[0]
    committed = int(len(stream) * where) // size * size
    for at in range(0, committed, size):
        log.publish(undisturbed.process(stream[at : at + size]))
    # A symbol without a bar has nothing to be trained on: no restart finds models for it.
    assume({bar.symbol for bar in log.bars} == {"A", "B"})
    answered = undisturbed.process(stream[committed:])
    log.publish(answered)  # published, but not committed when the worker was killed
    restarted = log.restart(stream, committed)
    same(merged([answered]), merged([restarted.process(stream[committed:])]))
    for name in ("A", "B"):
        one, two = undisturbed.pipeline_of(name), restarted.pipeline_of(name)
        assert orjson.dumps(one.window.state()) == orjson.dumps(two.window.state())
        assert one.kalman.to_state() == two.kalman.to_state()
        assert one.record.bias.value == two.record.bias.value
        assert one.record.sums() == two.record.sums()
        states = [orjson.dumps(each.record.interval_state()) for each in (one, two)]
        assert states[0] == states[1]
        assert one.record.factors == two.record.factors


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams(), st.floats(0.1, 0.95), st.integers(1, 40), st.data())
def test_after_an_end_in_order_nothing_is_gone_through_again(
    stream: list[FakeRecord], where: float, size: int, data: st.DataObject
) -> None:
    log = Log()
    log.champions = versions(1)
    undisturbed, ended = pipeline(), pipeline()
    for name in ("A", "B"):
        for each in (undisturbed, ended):
            each.pipeline_of(name).models = log.champions[0]
    end = max(1, int(len(stream) * where))
    for at in range(0, end, size):
        batch = stream[at : min(at + size, end)]
        undisturbed.process(batch)
        log.publish(ended.process(batch))
    assume(all(ended.pipeline_of(name).window.open_bars for name in ("A", "B")))
    first, second = ended.handover("market.ticks.v1")
    cut = data.draw(st.integers(0, len(first)), "killed after so many states")
    log.publish(Answer(bars=first[:cut]))
    if cut == len(first):
        log.publish(Answer(bars=second))
    restarted = log.restart(stream, end)
    if cut == len(first):
        assert not log.replayed
    answers = [each.process(stream[end:]) for each in (undisturbed, restarted)]
    same(*(merged([answer]) for answer in answers))


@hypothesis_settings(max_examples=30, deadline=None)
@given(tick_streams(ticks_a_bar=30), st.data())
def test_with_retrains_and_kills_two_messages_of_one_id_agree_or_name_other_versions(
    stream: list[FakeRecord], data: st.DataObject
) -> None:
    registry, log = versions(12), Log()
    said: dict[str, list[Prediction]] = {}
    committed, at = 0, 0
    running = PartitionPipeline(PredictionSettings.of(SETTINGS))
    while at < len(stream):
        what = data.draw(st.sampled_from(["go", "go", "go", "commit", "promote", "kill", "end"]))
        if what == "go":
            batch = stream[at : at + data.draw(st.integers(1, 60))]
            answer = running.process(batch)
            log.publish(answer)
            for prediction in answer.predictions:
                said.setdefault(prediction.id, []).append(prediction)
            at += len(batch)
        elif what == "commit":
            committed = at
        elif what == "end":
            committed = at
            for bars in running.handover("market.ticks.v1"):
                log.publish(Answer(bars=bars))
            running = log.restart(stream, committed)
        elif what == "promote" and registry:
            log.champions.append(registry.pop(0))
            for symbol in running.symbols.values():
                symbol.models = log.champions[-1]
        elif what == "kill":
            at = committed
            running = log.restart(stream, committed)
    for messages in said.values():
        first = messages[0]
        for other in messages[1:]:
            named = [{n: m.version for n, m in p.members.items()} for p in (first, other)]
            if named[0] == named[1]:
                same(asdict(first), asdict(other))


class Recorder(ConstantMember):
    """Keeps the features it was asked about."""

    seen: list[np.ndarray[Any, Any]]

    def predict(self, rows: Rows) -> np.ndarray[Any, Any]:
        if rows.features is not None:
            self.seen.extend(rows.features)
        return super().predict(rows)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_training_row_equals_the_live_feature_vector_of_the_same_ticks(seed: int) -> None:
    """Also where a few ticks are a hundred times too high, and where all are from some tick on."""
    rng = np.random.default_rng(seed)
    stamps = START_MS + np.cumsum(rng.integers(1, BAR_MS, 400)).astype(int)
    prices = np.exp(rng.normal(3, 0.01, 400))
    prices[rng.integers(100, 390, 4)] *= 100
    prices[rng.integers(100, 390) :] /= 10
    stream = records(
        Tick(symbol="A", price=price, ts=ts)
        for price, ts in zip(prices.tolist(), stamps.tolist(), strict=True)
    )
    recorder = Recorder(0.0)
    object.__setattr__(recorder, "seen", [])
    made = PartitionPipeline(PredictionSettings.of(SETTINGS))
    symbol = made.pipeline_of("A")
    symbol.models = model_set({"lstm": recorder})
    last_of_bar: dict[int, np.ndarray[Any, Any]] = {}
    for item, ts in zip(stream, stamps.tolist(), strict=True):
        made.process([item])
        if recorder.seen:
            # A tick that waits beside the window belongs to its own bar, too.
            last_of_bar[ts - ts % BAR_MS] = recorder.seen[-1]
    bars = symbol.window.columns()
    rows = bar_vectors(bars)
    compared = 0
    for at, ts_open in enumerate(bars.ts_open[LOOKBACK:].tolist()):
        if ts_open in last_of_bar:
            np.testing.assert_allclose(rows[at], last_of_bar[ts_open], rtol=1e-5, atol=1e-8)
            compared += 1
    assert compared > 50
    assert bars.log_jump.any()


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams())
def test_the_ensemble_lies_between_its_members_before_the_bias_correction(
    stream: list[FakeRecord],
) -> None:
    for prediction in pipeline().process(stream).predictions:
        said = [member.prediction for member in prediction.members.values() if member.weight > 0]
        before = prediction.prediction - prediction.bias_correction
        slack = 1e-9 * prediction.last_price
        assert min(said) - slack <= before <= max(said) + slack
        assert math.fsum(m.weight for m in prediction.members.values()) == pytest.approx(1)
        assert abs(prediction.bias_correction) <= 0.001 * prediction.last_price + slack


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams())
def test_intervals_hold_the_prediction_and_each_other(stream: list[FakeRecord]) -> None:
    for prediction in pipeline().process(stream).predictions:
        low = high = prediction.prediction
        assert [item.level for item in prediction.intervals] == [0.5, 0.9]
        for item in prediction.intervals:
            assert 0 < item.low <= low <= high <= item.high < math.inf
            low, high = item.low, item.high
