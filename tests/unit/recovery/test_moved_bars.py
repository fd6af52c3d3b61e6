"""What a symbol brought along counts whole or not at all, and once."""

from __future__ import annotations

from dataclasses import replace

from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.schemas import Bar, Source
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.moved_bars import packed
from tests.builders import bar_record, records, settings, walk

BARS = PartitionPipeline(PredictionSettings.of(settings())).process(records(walk(80))).bars
TOPIC = "market.ticks.v1"
BEFORE = 30
"""Offset of the first tick where the symbol came to."""


def luggage(count: int, before: int = BEFORE, by: str = "a") -> list[Bar]:
    """So many bars, as they are read."""
    *bars, last = BARS[:count]
    return [decode_bar(encode_bar(bar)) for bar in packed(bars, last, before=before, by=by)]


def log_of(bars: list[Bar], committed: int) -> BarLog:
    log = BarLog(TOPIC, committed, topic_id="", bar_s=60)
    for offset, bar in enumerate(bars):
        log.take(bar_record(bar, offset))
    return log


def times(log: BarLog) -> list[int]:
    return [bar.ts_open for bar in log.take_closed(1000).get("BTC", [])]


def test_it_counts_whole_and_from_the_commit_on_before_which_it_came() -> None:
    bars = luggage(9)
    assert times(log_of(bars[:-1], BEFORE)) == []
    assert times(log_of(bars, BEFORE - 1)) == []
    log = log_of(bars, BEFORE)
    assert times(log) == [bar.ts_open for bar in BARS[:9]]
    last = log.last_of("BTC")
    assert last is not None
    assert last.source == Source(topic=TOPIC, partition=0, offset=BEFORE - 1)
    assert last.state["kalman"] == BARS[8].state["kalman"]


def test_who_was_killed_on_the_way_leaves_nothing_behind() -> None:
    log = log_of([*luggage(9)[:5], *luggage(7)], BEFORE)
    assert times(log) == [bar.ts_open for bar in BARS[:7]]


def test_of_two_workers_that_move_a_symbol_to_one_place_the_first_counts() -> None:
    later = replace(BARS[10], source=replace(BARS[10].source, offset=BEFORE + 5))
    log = log_of([*luggage(7), later, *luggage(9)], 1000)
    assert times(log) == [bar.ts_open for bar in (*BARS[:7], BARS[10])]
    assert log.last_of("BTC") == decode_bar(encode_bar(later))


def test_two_workers_that_write_by_turns_do_not_mix() -> None:
    one, other = luggage(7, by="a"), luggage(9, by="b")
    log = log_of([one[0], other[0], *one[1:4], *other[1:5], *one[4:], *other[5:]], 1000)
    assert times(log) == [bar.ts_open for bar in BARS[:7]]


def test_it_takes_the_place_of_what_the_symbol_left_there_once() -> None:
    old = [replace(bar, source=replace(bar.source, offset=at)) for at, bar in enumerate(BARS[:4])]
    log = log_of([*old, *luggage(9)[3:], *luggage(9)], BEFORE)
    assert log.begun_anew == {"BTC"}
    assert times(log) == [bar.ts_open for bar in BARS[:9]]


def test_what_came_before_a_tick_that_is_not_committed_is_found_and_counts_later() -> None:
    later = replace(BARS[10], source=replace(BARS[10].source, offset=BEFORE + 5))
    log = log_of([*luggage(7), later], BEFORE - 1)
    found = log.arrived("BTC", BEFORE)
    assert found is not None
    assert [bar.ts_open for bar in found] == [bar.ts_open for bar in BARS[:7]]
    assert log.arrived("BTC", BEFORE + 1) is None
    assert log.arrived("ETH", BEFORE) is None
    log.advance(BEFORE + 6)
    assert times(log) == [bar.ts_open for bar in (*BARS[:7], BARS[10])]


def test_a_bar_that_says_something_else_of_a_move_is_passed_over() -> None:
    odd = replace(BARS[0], state={**BARS[0].state, "moved": {"to": 3}})
    assert times(log_of([odd, *BARS[1:3]], 1000)) == [bar.ts_open for bar in BARS[1:3]]
