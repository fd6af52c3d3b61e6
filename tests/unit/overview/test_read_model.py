"""Records of the topics in, what the page shows out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from stream_app.messages.codec import encode_score
from stream_app.messages.schemas import Score, SkillFigures, Source
from stream_app.overview import sections
from stream_app.overview.bar_history import KEPT_BARS
from stream_app.overview.bound import MOST_SYMBOLS
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.retrain_log import KEPT_REASONS
from tests.builders import START_MS, FakeRecord
from tests.topic_records import (
    HORIZON_S,
    FakeClock,
    alarm,
    bar,
    champion,
    dead_letter,
    prediction,
    read_model,
    retrain,
    scored,
)

BOUNDS = Bounds(retrain_target_s=45.0, retrain_interval_s=3600.0)


@pytest.fixture
def model() -> ReadModel:
    return read_model(FakeClock())


def live(model: ReadModel) -> dict[str, Any]:
    columns: dict[str, Any] = sections.history(model, "BTC-USD", "live")["columns"]
    return columns


def bars(model: ReadModel) -> dict[str, Any]:
    columns: dict[str, Any] = sections.history(model, "BTC-USD", "day")["columns"]
    return columns


def test_the_newest_answer_is_shown_with_its_members_and_intervals(model: ReadModel) -> None:
    model.take_answers([prediction(START_MS), prediction(START_MS + 1000, price=101.0)], 2)
    shown = sections.answer(model, "BTC-USD")
    assert shown is not None
    assert shown["last_price"] == 101.0
    assert list(shown["members"]) == ["kalman", "random_forest", "lightgbm", "lstm"]
    assert [level for level, _, _ in shown["intervals"]] == [0.5, 0.9]
    assert (shown["level"], shown["state"]) == ("ok", "4 models")


def test_an_older_answer_from_the_partition_that_a_symbol_has_left_is_not_the_newest(
    model: ReadModel,
) -> None:
    model.take_answers([prediction(START_MS + 1000, price=101.0)], 1)
    model.take_answers([prediction(START_MS, price=100.0)], 1)
    shown = sections.answer(model, "BTC-USD")
    assert shown is not None
    assert shown["last_price"] == 101.0
    assert live(model)["ts"] == [START_MS + 1000]


def test_a_prediction_of_a_worker_without_intervals_and_shrinkage_is_shown(
    model: ReadModel,
) -> None:
    model.take_answers([prediction(START_MS, intervals=[])], 1)
    shown = sections.answer(model, "BTC-USD")
    assert shown is not None
    assert (shown["intervals"], shown["shrinkage"]) == ([], None)


def test_fields_of_a_newer_worker_are_passed_over(model: ReadModel) -> None:
    model.take_answers([prediction(START_MS, something_new={"a": 1})], 1)
    model.take("bars", bar(1, something_new=[1]))
    assert sections.answer(model, "BTC-USD") is not None
    assert len(model.symbols["BTC-USD"].bars) == 1
    assert model.reading.refused == 0


BROKEN = [
    ("predictions", b"not json"),
    ("predictions", b"[]"),
    ("predictions", None),
    ("predictions", b'{"symbol":"A B"}'),
    ("bars", b"{}"),
    ("scores", b'{"symbol":"BTC-USD"}'),
    ("champions", b"7"),
    ("drift", b'{"symbol":"BTC-USD"}'),
    ("retrain_events", b"{}"),
    ("retrain_events", b"\xff"),
]


@pytest.mark.parametrize(("role", "value"), BROKEN)
def test_a_record_that_is_no_message_is_counted_and_named_and_changes_nothing_else(
    model: ReadModel, role: str, value: bytes | None
) -> None:
    record = FakeRecord(offset=7, value=value, key=b"k", topic="some.topic")
    if role == "predictions":
        model.take_answers([record], 1)
    else:
        model.take(role, record)
    assert model.reading.refused == 1
    assert model.reading.refused_last.startswith("some.topic partition 0 offset 7: ")
    assert not model.symbols


def test_nan_and_endless_numbers_do_not_come_through(model: ReadModel) -> None:
    for text in (b"NaN", b"1e999"):
        value = (prediction(START_MS).value or b"").replace(b"100.0", text, 1)
        model.take_answers([FakeRecord(offset=0, value=value, key=b"BTC-USD")], 1)
    assert model.reading.refused == 2


def test_texts_are_cut(model: ReadModel) -> None:
    model.take_answers([prediction(START_MS, degraded=["x" * 10_000])], 1)
    shown = sections.answer(model, "BTC-USD")
    assert shown is not None
    assert len(shown["degraded"][0]) == 301


def test_symbols_without_end_do_not_fill_the_memory(model: ReadModel) -> None:
    records = [prediction(START_MS, symbol=f"S{n}") for n in range(MOST_SYMBOLS + 5)]
    model.take_answers(records, len(records))
    assert len(model.symbols) == MOST_SYMBOLS
    assert model.left_out == 5


def test_live_points_are_thinned_out_evenly_and_the_newest_is_always_there(
    model: ReadModel,
) -> None:
    for number in range(4 * 4 * HORIZON_S):  # four horizons, four ticks a second
        model.take_answers([prediction(START_MS + 250 * number)], 1)
    ts = live(model)["ts"]
    assert ts[-1] == START_MS + 250 * (4 * 4 * HORIZON_S - 1)
    assert len(ts) == 180
    steps = {after - before for before, after in itertools.pairwise(ts)}
    assert max(steps) <= 5250
    assert ts[-1] - ts[0] > 2.9 * 1000 * HORIZON_S


def test_a_late_tick_moves_no_chart_and_a_replay_begins_it_anew(model: ReadModel) -> None:
    model.take_answers([prediction(START_MS + 60_000)], 1)
    late = prediction(START_MS, degraded=["late tick: 60 s behind"], written_ms=START_MS + 60_001)
    model.take_answers([late], 1)
    assert live(model)["ts"] == [START_MS + 60_000]
    model.take_answers([prediction(START_MS + 1000, written_ms=START_MS + 60_002)], 1)
    assert live(model)["ts"] == [START_MS + 1000]


def test_the_live_chart_has_the_bars_before_and_among_the_answers(model: ReadModel) -> None:
    """After a feed that was faster than the page looks, answers are far apart."""
    for number in range(10):
        model.take("bars", bar(number))
    between = START_MS + 8 * 1000 * HORIZON_S
    model.take_answers([prediction(START_MS), prediction(between)], 2)
    first = START_MS + 10 * 1000 * HORIZON_S
    model.take_answers([prediction(first)], 1)
    ts = live(model)["ts"]
    ends = [START_MS + 1000 * HORIZON_S * n + 299_000 for n in (7, 8, 9)]
    assert ts == sorted([*ends, between, first])


def test_bars_stand_in_order_whatever_the_order_of_reading(model: ReadModel) -> None:
    for number in (5, 3, 4, 1, 2):
        model.take("bars", bar(number, close=100.0 + number))
    assert bars(model)["close"] == [101.0, 102.0, 103.0, 104.0, 105.0]


def test_only_the_newest_bars_are_kept(model: ReadModel) -> None:
    for number in range(KEPT_BARS + 10):
        model.take("bars", bar(number))
    model.take("bars", bar(1))
    ts = bars(model)["ts"]
    assert len(ts) == KEPT_BARS
    assert ts[0] == START_MS + 10 * 1000 * HORIZON_S + 299_000


def test_a_checkpoint_replaces_its_bar_and_an_empty_one_draws_nothing(model: ReadModel) -> None:
    model.take("bars", bar(1, offset=5, close=100.0))
    model.take("bars", bar(1, offset=9, close=101.0))
    model.take("bars", bar(1, offset=7, close=55.0))
    model.take("bars", bar(2, close=None))
    assert bars(model)["close"] == [101.0]


def test_what_was_predicted_stands_at_the_time_that_it_was_for(model: ReadModel) -> None:
    forecasts = {
        "members": {"kalman": 0.0},
        "published": 0.002,
        "intervals": [[0.9, -0.01, 0.02], [0.5, -0.001, 0.005]],
        "volatility": 0.001,
    }
    model.take("bars", bar(1, forecasts=forecasts))
    model.take("bars", bar(2, forecast=None, horizon_s=None))
    columns = bars(model)
    assert columns["target"] == [columns["ts"][0] + 1000 * HORIZON_S, None]
    assert columns["predicted"] == [pytest.approx(100 * math.exp(0.002)), None]
    assert columns["inner_high"] == [pytest.approx(100 * math.exp(0.005)), None]
    assert columns["outer_low"] == [pytest.approx(100 * math.exp(-0.01)), None]


def test_a_bar_without_forecasts_of_its_own_shows_the_ensembles(model: ReadModel) -> None:
    model.take("bars", bar(1, forecast=0.004))
    assert bars(model)["predicted"] == [pytest.approx(100 * math.exp(0.004))]


def test_an_unknown_symbol_says_so(model: ReadModel) -> None:
    assert sections.history(model, "XYZ", "live") == {
        "symbol": "XYZ",
        "view": "live",
        "known": False,
    }
    assert sections.answer(model, "XYZ") is None
    assert sections.about(model, "XYZ")["versions"] == []


def test_figures_are_those_of_the_newest_score_in_whatever_order_they_come(
    model: ReadModel,
) -> None:
    for number in (3, 5, 4, 5):
        model.take("scores", scored(number, coverage={"day": {"0.9": number / 10}}))
    about = sections.about(model, "BTC-USD")
    assert about["running"]["day"]["published"]["n"] == 5
    assert about["coverage"] == {"day": {0.9: 0.5}}
    assert about["scored_ts"] == START_MS + 1000 * HORIZON_S * 6


def test_a_score_of_a_worker_is_read_as_it_writes_it(model: ReadModel) -> None:
    figures = SkillFigures(
        n=2,
        mae=1e-4,
        mse=1e-8,
        bias=0.0,
        mae_skill=0.1,
        mse_skill=0.2,
        hit_rate=None,
        cw_t=None,
        mse_skill_se=0.05,
    )
    score = Score(
        symbol="BTC-USD",
        ts_open=START_MS,
        ts_target=START_MS + 300_000,
        horizon_s=300,
        last_price=100.0,
        outcome=101.0,
        errors={"last_price": 0.01, "published": 0.009},
        shrinkage={"ensemble": 1.0},
        inside={"0.9": True},
        coverage={"day": {"0.9": 1.0}},
        running={"day": {"published": figures}},
        harm=120.0,
        source=Source(topic="market.ticks.v1", partition=0, offset=7),
    )
    model.take("scores", FakeRecord(offset=0, value=encode_score(score), key=b"BTC-USD"))
    about = sections.about(model, "BTC-USD")
    assert about["running"]["day"]["published"]["mse_skill"] == 0.2
    assert about["running"]["day"]["published"]["mse_skill_se"] == 0.05
    assert (about["coverage"], about["harm"]) == ({"day": {0.9: 1.0}}, 120.0)


def test_alarms_of_drift_stand_beside_chance_and_detectors_that_know_nothing(
    model: ReadModel,
) -> None:
    assert sections.about(model, "BTC-USD")["drift"] == []
    model.take("scores", scored(0))
    for value in (alarm(-1, days=30), alarm(0, ratio=2.5, days=60), alarm(0, ratio=2.5, days=60)):
        model.take("drift", value)
    model.take("drift", alarm(-9000, days=30))  # more than 30 days ago
    rows = sections.about(model, "BTC-USD")["drift"]
    told = {row["detector"]: (row["alarms"], row["by_chance"]) for row in rows}
    assert told == {
        "adwin, errors": (0, 0.125),
        "adwin, innovations": (0, 0.125),
        "page_hinkley, errors": (2, 0.125),
        "page_hinkley, innovations": (0, 0.125),
        "always": (8640, 8640),
        "never": (0, 0),
    }
    shown = next(row for row in rows if row["alarms"] == 2)
    assert (shown["newest"], shown["ratio"]) == (START_MS + 300_000, 2.5)


def test_cycles_are_noted_once_and_the_running_one_until_it_ends(model: ReadModel) -> None:
    model.take("retrain_events", retrain(59, "started"))
    shown = sections.retrains(model, BOUNDS)
    assert [item["worker"] for item in shown["running"]] == ["host-1"]
    for _ in range(2):
        model.take("retrain_events", retrain(59))
    shown = sections.retrains(model, BOUNDS)
    assert shown["running"] == []
    assert [cycle["models"]["lstm"] for cycle in shown["cycles"]] == [79.0]


def test_a_thousand_reasons_are_a_few_and_a_number(model: ReadModel) -> None:
    reasons = tuple(f"S{n}: no" for n in range(1000))
    model.take("retrain_events", retrain(1, "failed", versions={}, reasons=reasons))
    shown = sections.retrains(model, BOUNDS)["cycles"][0]["reasons"]
    assert len(shown) == KEPT_REASONS + 1
    assert shown[-1] == "and 995 more"


def test_a_rejected_model_is_told_with_its_reason_and_is_no_failure(model: ReadModel) -> None:
    rejected = {"BTC-USD": "lightgbm: worse than the last price by 12 %"}
    model.take("retrain_events", retrain(1, versions={}, rejected=rejected))
    (cycle,) = sections.retrains(model, BOUNDS)["cycles"]
    assert (cycle["state"], cycle["rejected"]) == ("succeeded", 1)
    assert cycle["reasons"] == ("BTC-USD: rejected: lightgbm: worse than the last price by 12 %",)


def test_versions_come_from_retrain_events_until_the_champions_topic_speaks(
    model: ReadModel,
) -> None:
    model.take("retrain_events", retrain(1))
    model.take("retrain_events", retrain(2))
    versions = sections.about(model, "BTC-USD")["versions"]
    assert [item["version"] for item in versions] == ["v2", "v1"]
    assert versions[0]["why"] == "scheduled retrain"
    model.take("champions", champion("v1", by="rollback", why="v2 was worse"))
    model.take("retrain_events", retrain(3))
    versions = sections.about(model, "BTC-USD")["versions"]
    assert [(item["version"], item["by"]) for item in versions] == [("v1", "rollback")]


def test_a_tombstone_of_the_champions_topic_is_no_message_and_no_error(model: ReadModel) -> None:
    model.take("champions", FakeRecord(offset=1, value=None, key=b"BTC-USD"))
    assert model.reading.refused == 0


def test_dead_letters_are_counted_by_reason_and_the_newest_come_first(model: ReadModel) -> None:
    for offset in range(60):
        model.take("dead_letters", dead_letter(offset, reason="bad_price" if offset % 3 else "x"))
    shown = sections.letters(model)
    assert shown["counts"] == {"bad_price": 40, "x": 20}
    assert len(shown["newest"]) == 50


def test_reasons_without_end_are_counted_together(model: ReadModel) -> None:
    for offset in range(100):
        model.take("dead_letters", dead_letter(offset, reason=f"made up {offset}"))
    counts = sections.letters(model)["counts"]
    assert len(counts) == 33
    assert counts["other"] == 68


def test_a_recreated_topic_begins_anew(model: ReadModel) -> None:
    model.take_answers([prediction(START_MS)], 1)
    model.take("dead_letters", dead_letter(1))
    model.forget()
    assert not model.symbols
    assert sections.letters(model)["counts"] == {}
