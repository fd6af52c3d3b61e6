"""What the page says of the state of things, and how bad it is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stream_app.overview import sections
from stream_app.overview.check import Check
from stream_app.overview.health import Bounds, checks, overall
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import SymbolTable, TablePage
from stream_app.training.standing import STOPPED
from tests.builders import START_MS
from tests.topic_records import (
    FakeClock,
    alarm,
    champion,
    dead_letter,
    place,
    prediction,
    read_model,
    retrain,
    scored,
    worker,
)

BOUNDS = Bounds(retrain_target_s=45.0, retrain_interval_s=3600.0)


def well(clock: FakeClock) -> ReadModel:
    """A system that works."""
    model = read_model(clock)
    model.take("retrain_events", retrain(55))
    model.take_answers([prediction(START_MS, written_ms=clock.now_ms())], 1)
    model.take_group({0: place(0, end=50, committed=50)}, [worker(0)])
    return model


def check(model: ReadModel, name: str) -> Check:
    return next(item for item in checks(model, BOUNDS) if item.id == name)


def sentence(model: ReadModel) -> tuple[str, str]:
    return overall(checks(model, BOUNDS))


def test_a_system_that_works_is_well() -> None:
    clock = FakeClock()
    model = well(clock)
    assert sentence(model) == ("ok", "All is well")
    assert check(model, "ready").text == "0 answers a second; 1 symbol answered in full"
    assert check(model, "lag").text == "No tick waits"
    assert check(model, "retrain").text == "Succeeded in 76.0 s of 45 s, 5 min ago"


def test_before_the_broker_answers_nothing_is_known() -> None:
    model = ReadModel(FakeClock())
    assert sentence(model) == ("unknown", "Not known yet")
    assert check(model, "ready").text == "Connecting to the broker"


def test_a_broker_that_is_away_needs_action_until_it_answers() -> None:
    model = well(FakeClock())
    model.note_away("connection refused")
    assert sentence(model) == ("bad", "Needs action: answers")
    assert "connection refused" in check(model, "ready").text
    model.take_group({0: place(0, end=50, committed=50)}, [worker(0)])
    assert sentence(model)[0] == "ok"


def test_a_missing_topic_needs_action_and_another_difference_a_look() -> None:
    model = well(FakeClock())
    model.reading.topic_problems = ("market.bars.v1: topics.yaml says ...", "and another")
    model.reading.missing = frozenset(("bars",))
    assert check(model, "ready").level == "bad"
    assert check(model, "ready").text == "market.bars.v1: topics.yaml says ... (and 1 more)"
    model.reading.missing = frozenset()
    assert check(model, "ready").level == "warn"


def test_partitions_that_nobody_reads_are_named_where_the_broker_tells() -> None:
    model = well(FakeClock())
    places = {number: place(number, end=50, committed=50) for number in range(3)}
    model.take_group(places, [worker(0)])
    assert check(model, "ready").level == "bad"
    assert "partition 1, 2" in check(model, "ready").text
    model.take_group(places, None)
    assert check(model, "ready").level == "ok"


def test_a_commit_that_cannot_be_believed_needs_action() -> None:
    model = well(FakeClock())
    model.take_group({0: place(0, end=50, committed=900)}, [worker(0)])
    assert check(model, "ready").level == "bad"
    assert "committed offset 900" in check(model, "ready").text


def test_ticks_that_wait_unanswered_need_action_but_silence_does_not() -> None:
    clock = FakeClock()
    model = well(clock)
    clock.passed_s = 30
    assert check(model, "ready").level == "ok"
    assert check(model, "ready").text == "No tick came for 30 s; 1 symbol answered in full"
    model.take_group({0: place(0, end=60, committed=50)}, [worker(0)])
    assert check(model, "ready").level == "bad"
    assert check(model, "ready").text == "Ticks wait, and none was answered for 30 s"


def test_ticks_without_any_answer_want_a_worker() -> None:
    model = read_model(FakeClock())
    assert check(model, "ready").level == "unknown"
    model.take_group({0: place(0, end=60, committed=None)}, ())
    assert check(model, "ready").level == "bad"


def test_while_the_newest_records_are_read_nothing_they_lack_is_an_alarm() -> None:
    """The broker tells what waits before the newest answers were read."""
    clock = FakeClock()
    model = read_model(clock)
    model.reading.newest_read = model.reading.history_read = False
    model.take_group({0: place(0, end=60, committed=44)}, [worker(0)])
    assert sentence(model) == ("unknown", "Still reading the topics")
    old_ms = clock.now_ms() - 86_400_000
    model.take_answers([prediction(START_MS, written_ms=old_ms)], 1, is_new=False)
    model.take("retrain_events", retrain(1, "failed", versions={}, reasons=("BTC-USD: NaN",)))
    model.take("scores", scored(1, harm=100.0))
    assert sentence(model) == ("unknown", "Still reading the topics")
    assert {item.level for item in checks(model, BOUNDS)} == {"unknown", "ok"}
    model.reading.newest_read = True
    assert check(model, "ready").level == check(model, "retrain").level == "bad"
    assert check(model, "skill").level == "unknown"
    model.reading.history_read = True
    assert check(model, "skill").level == "warn"


def test_topics_that_cannot_be_read_need_action() -> None:
    model = read_model(FakeClock())
    model.reading.newest_read = False
    model.reading.unreadable = "TopicAuthorizationFailedError: market.bars.v1"
    assert check(model, "ready").level == "bad"
    assert check(model, "ready").text.endswith("TopicAuthorizationFailedError: market.bars.v1")


def test_topics_that_were_recreated_are_read_anew() -> None:
    model = well(FakeClock())
    model.forget()
    assert sentence(model) == ("unknown", "Still reading the topics")


def test_one_look_does_not_tell_whether_many_ticks_wait() -> None:
    model = read_model(FakeClock())
    model.take_group({0: place(0, end=1000, committed=400)}, [worker(0)])
    assert check(model, "lag").level == "unknown"
    model.take_group({0: place(0, end=1000, committed=400)}, [worker(0)])
    assert check(model, "lag").level == "warn"


def test_symbols_without_a_tick_for_months_are_counted_and_no_alarm() -> None:
    clock = FakeClock()
    model = well(clock)
    months_ago = clock.now_ms() - 90 * 86_400_000
    for number in range(3):
        name = f"OLD{number}"
        young = prediction(START_MS, symbol=name, written_ms=months_ago, degraded=["too few bars"])
        model.take_answers([young], 1, is_new=False)
        old_score = replace(scored(9, symbol=name, harm=1000.0), timestamp=months_ago)
        model.take("scores", old_score, is_new=False)
        model.take("drift", alarm(9, symbol=name), is_new=False)
        model.take("champions", champion("v1", symbol=name), is_new=False)
    rejected = retrain(1, versions={}, symbols=("OLD1",), rejected={"OLD1": "not finite"})
    model.take("retrain_events", rejected, is_new=False)
    model.take("retrain_events", retrain(56))
    assert sentence(model) == ("ok", "All is well")
    assert check(model, "ready").text == (
        "0 answers a second; 1 of 4 symbols answered in full; 3 silent for a day or longer"
    )
    assert len(model.symbols) == 4


def test_a_symbol_with_models_is_counted_also_where_its_answers_are_not_among_the_newest() -> None:
    model = well(FakeClock())
    model.take("champions", champion("v1", symbol="ETH"))
    model.take("champions", champion("v1", symbol="ETH (partition 3)"))
    model.take("scores", scored(9, symbol="ETH"))
    assert check(model, "ready").text == (
        "0 answers a second; 1 of 2 symbols answered in full; "
        "1 not among the newest 2,000 answers of a partition"
    )
    assert sorted(model.symbols) == ["BTC-USD", "ETH"]


def test_a_symbol_that_is_not_answered_in_full_is_named() -> None:
    clock = FakeClock()
    model = well(clock)
    now = clock.now_ms()
    model.take_answers(
        [prediction(START_MS, symbol="ETH", written_ms=now, degraded=["lstm: too old"])], 1
    )
    assert check(model, "ready").level == "ok"
    assert check(model, "ready").text.endswith("1 of 2 symbols answered in full, not ETH")
    model.take_answers([prediction(START_MS + 1, written_ms=now, degraded=["lstm: too old"])], 1)
    assert check(model, "ready").level == "warn"


def test_lag_is_judged_by_what_comes() -> None:
    clock = FakeClock()
    model = well(clock)
    model.take_group({0: place(0, end=1000, committed=400)}, [worker(0)])
    assert check(model, "lag").level == "warn"
    clock.passed_s = 2
    model.take_group({0: place(0, end=3000, committed=2400)}, [worker(0)])
    assert check(model, "lag").level == "ok", "600 ticks are less than a second of what comes"


def test_a_slow_retrain_needs_a_look_and_a_failed_one_action() -> None:
    model = well(FakeClock())
    model.take("retrain_events", retrain(56, exceeded=True))
    assert sentence(model) == ("warn", "Needs a look: last retrain")
    model.take("retrain_events", retrain(57, "failed", versions={}, reasons=("BTC-USD: NaN",)))
    assert sentence(model) == ("bad", "Needs action: last retrain")
    assert check(model, "retrain").text.endswith(": BTC-USD: NaN")


def test_a_plan_is_told_and_one_that_does_not_fit_needs_a_look() -> None:
    model = well(FakeClock())
    plan = {"symbols": 1400.0, "fit": 1500.0, "interval_seconds": 3600.0}
    model.take("retrain_events", retrain(56, plan=plan))
    assert check(model, "retrain").level == "ok"
    assert check(model, "retrain").text.endswith("; 1,400 symbols are planned")
    model.take("retrain_events", retrain(57, plan=plan | {"fit": 1270.0}))
    assert sentence(model) == ("warn", "Needs a look: last retrain")
    assert (
        "has 1,400 symbols, of which 1,270 fit into 1 h: the last" in check(model, "retrain").text
    )


def test_a_retrain_that_the_workers_end_cut_off_is_no_alarm() -> None:
    model = well(FakeClock())
    model.take("retrain_events", retrain(57, "failed", versions={}, reasons=(STOPPED,)))
    assert check(model, "retrain").level == "warn"


def test_a_symbol_whose_last_training_failed_is_not_forgotten_by_a_cycle_without_it() -> None:
    model = well(FakeClock())
    model.take("retrain_events", retrain(56, "failed", versions={}, reasons=("BTC-USD: NaN",)))
    model.take("retrain_events", retrain(57, versions={"ETH": "v"}, symbols=("ETH",)))
    assert check(model, "retrain").level == "bad"
    assert "it failed for BTC-USD" in check(model, "retrain").text


def test_rejected_models_need_a_look_until_the_next_good_training() -> None:
    model = well(FakeClock())
    assert check(model, "rejected").level == "ok"
    event = retrain(56, versions={}, rejected={"BTC-USD": "lstm: its answers are not finite"})
    model.take("retrain_events", event)
    assert sentence(model) == ("warn", "Needs a look: rejected models")
    assert check(model, "rejected").text == (
        "The old models of BTC-USD serve on: lstm: its answers are not finite"
    )
    model.take("retrain_events", retrain(57))
    assert check(model, "rejected").level == "ok"


def test_a_retrain_that_is_overdue_needs_a_look() -> None:
    clock = FakeClock()
    model = well(clock)
    clock.passed_s = 2 * 3600.0
    model.take_answers([prediction(START_MS + 1, written_ms=clock.now_ms())], 1)
    assert check(model, "retrain").level == "warn"
    assert check(model, "retrain").text.startswith("Overdue")


def test_a_flood_of_dead_letters_needs_action_and_passes() -> None:
    clock = FakeClock()
    model = well(clock)
    model.take("dead_letters", dead_letter(0))
    assert check(model, "letters").level == "ok"
    for offset in range(1, 70):
        model.take("dead_letters", dead_letter(offset))
    assert check(model, "letters").level == "bad"
    assert "mostly not_json" in check(model, "letters").text
    clock.passed_s = 61
    assert check(model, "letters").level == "ok"


def test_letters_of_before_the_start_are_no_flood() -> None:
    model = well(FakeClock())
    for offset in range(500):
        model.take("dead_letters", dead_letter(offset), is_new=False)
    assert check(model, "letters").text == "None in the last minute"


def test_forecasts_that_do_harm_need_a_look() -> None:
    model = well(FakeClock())
    assert check(model, "skill").level == "unknown"
    model.take("scores", scored(1))
    assert check(model, "skill").level == "ok"
    model.take("scores", scored(2, harm=100.0))
    assert check(model, "skill").text.endswith("worse than the last price: BTC-USD")
    assert sentence(model) == ("warn", "Needs a look: skill")


def test_drift_needs_a_look_where_chance_alone_seldom_gives_as_many_alarms() -> None:
    model = well(FakeClock())
    assert check(model, "drift").text == "No forecast has an outcome yet"
    model.take("scores", scored(400))
    assert check(model, "drift").text == "No alarm of 1 symbol in the last day"
    model.take("drift", alarm(400 - 288))
    assert check(model, "drift").level == "ok"
    model.take("drift", alarm(400 - 287))
    assert sentence(model) == ("warn", "Needs a look: drift")
    assert check(model, "drift").text == (
        "Alarms of BTC-USD in the last day; chance alone gives 0.033 a day"
    )
    for number in range(1, 30):
        model.take("scores", scored(400, symbol=f"S{number}"))
    found = check(model, "drift")
    assert (found.level, found.text.split("; ")[1]) == ("ok", "chance alone gives 1 a day")
    for number in range(1, 4):
        model.take("drift", alarm(400, symbol=f"S{number}"))
    assert check(model, "drift").level == "warn"
    model.reading.missing = frozenset({"drift"})
    assert check(model, "drift").text == "There is no topic of drift"


def test_a_cycle_whose_worker_was_killed_does_not_run_for_ever() -> None:
    clock = FakeClock()
    model = well(clock)
    model.take("retrain_events", retrain(58, "started", worker="killed-7"))
    assert check(model, "retrain").text.endswith("; one runs since 11:58:00")
    clock.passed_s = 45.0 + 2 * 120.0
    assert "runs since" not in check(model, "retrain").text
    assert sections.retrains(model, BOUNDS)["running"] == []
    noted = sections.retrains_stamp(model, BOUNDS)
    model.take("retrain_events", retrain(62, "started", worker="host-2"))
    assert check(model, "retrain").text.endswith("; one runs since 12:02:00")
    assert sections.retrains_stamp(model, BOUNDS) != noted
    assert list(model.retrains.running) == ["host-2"], "nor is it kept"


def test_lag_is_not_judged_by_the_one_look_after_an_outage() -> None:
    clock = FakeClock()
    model = well(clock)
    model.note_away("connection refused")
    clock.passed_s = 60
    model.take_group({0: place(0, end=9000, committed=8000)}, [worker(0)])
    assert check(model, "lag").level == "unknown"
    clock.passed_s = 62
    model.take_group({0: place(0, end=9000, committed=8000)}, [worker(0)])
    assert check(model, "lag").level == "warn"


def test_the_lag_of_the_last_ten_minutes_does_not_go_back_beyond_an_outage() -> None:
    clock = FakeClock()
    model = well(clock)
    model.take_group({0: place(0, end=9000, committed=8000)}, [worker(0)])
    clock.passed_s = 601
    model.take_group({0: place(0, end=9000, committed=9000)}, [worker(0)])
    assert sections.group(model)["lag"]["waiting"] == [0]


def test_a_feed_of_invalid_ticks_alone_is_no_sign_that_workers_are_away() -> None:
    clock = FakeClock()
    model = read_model(clock)
    waiting = {0: place(0, end=60, committed=50)}
    model.take_group(waiting, [worker(0)])
    assert check(model, "ready").level == "bad"
    model.take("dead_letters", replace(dead_letter(0), timestamp=clock.now_ms()))
    assert check(model, "ready").level == "unknown"
    assert check(model, "ready").text == "No valid tick has come yet, only dead letters"
    model = well(clock)
    clock.passed_s = 30
    model.take_group(waiting, [worker(0)])
    assert check(model, "ready").level == "bad"
    model.take("dead_letters", replace(dead_letter(0), timestamp=clock.now_ms()))
    assert check(model, "ready").level == "ok"
    assert check(model, "ready").text == "No valid tick came for 30 s; 1 symbol answered in full"


def test_the_table_sorted_by_state_begins_with_the_worst() -> None:
    clock = FakeClock()
    model = well(clock)
    now = clock.now_ms()
    model.take_answers(
        [prediction(START_MS, symbol="WEAK", written_ms=now, degraded=["lstm: too old"])], 1
    )
    model.take("retrain_events", retrain(56, "failed", versions={}, symbols=("BROKEN",)))
    model.take_answers([prediction(START_MS, symbol="BROKEN", written_ms=now)], 1)
    model.take("scores", scored(1, symbol="UNSEEN"))
    table = SymbolTable(model, clock.monotonic)
    rows = table.page(TablePage(sort="state"))["rows"]
    assert [row["symbol"] for row in rows] == ["BROKEN", "WEAK", "UNSEEN", "BTC-USD"]


def test_a_score_whose_target_is_no_later_than_its_bar_ends_nothing() -> None:
    model = well(FakeClock())
    model.take("scores", scored(1, ts_target=START_MS, ts_open=START_MS))
    assert sections.about(model, "BTC-USD")["drift"] == []
    assert model.reading.refused == 1


def test_a_price_beyond_all_bounds_ends_nothing() -> None:
    clock = FakeClock()
    model = well(clock)
    odd = prediction(START_MS + 1, price=1e300, prediction=1e-300, written_ms=clock.now_ms())
    model.take_answers([odd], 1)
    (row,) = SymbolTable(model, clock.monotonic).page(TablePage())["rows"]
    assert row["move_bp"] == pytest.approx(-1e4 * 600 * math.log(10))


def test_a_failed_training_of_a_state_elsewhere_is_forgotten_with_its_ticks() -> None:
    """As of ticks that came in another partition than their key's, until the feed was mended."""
    clock = FakeClock()
    model = well(clock)
    name = "BTC-USD (partition 3)"
    reasons = (f"{name}: NaN",)
    model.take(
        "retrain_events", retrain(56, "failed", versions={}, symbols=(name,), reasons=reasons)
    )
    clock.passed_s = 3600
    model.take("retrain_events", retrain(115))
    assert check(model, "retrain").level == "bad"
    clock.passed_s = 30 * 3600
    model.take_answers([prediction(START_MS + 1, written_ms=clock.now_ms())], 1)
    model.take("retrain_events", retrain(60 + 29 * 60))
    assert check(model, "retrain").level == "ok"
