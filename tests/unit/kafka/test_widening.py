"""What is said before partitions are added."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.kafka.placement import partition_of
from stream_app.kafka.widening import SHOWN, ticks_behind, widening_of
from stream_app.messages.codec import encode_bar
from stream_app.messages.schemas import Source
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import FakeRecord, records, settings, walk

SYMBOLS = {f"S{number}": number for number in range(40)}


def test_those_move_whose_key_belongs_elsewhere_then() -> None:
    plan = widening_of("ticks", (2, 5), SYMBOLS, {0: 2000, 1: 1000}, 8640)
    for name in SYMBOLS:
        way = tuple(partition_of(name.encode(), range(count)) for count in (2, 5))
        assert plan.moving.get(name, (way[0], way[0])) == way
    assert len(plan.moving) + plan.staying == len(SYMBOLS)
    first, second = plan.lines(12.3)
    assert first.startswith(f"ticks: from 2 to 5 partitions; {len(plan.moving)} of 40 symbols move")
    assert first.endswith(f" and {len(plan.moving) - SHOWN} more")
    assert "at most about 13 s, if one worker takes over all of it" in second


@pytest.mark.parametrize(("window_bars", "along"), [(8640, 500), (100, 100)])
def test_each_way_is_read_once_and_a_symbol_takes_no_more_than_a_window(
    window_bars: int, along: int
) -> None:
    four = {name: SYMBOLS[name] for name in list(SYMBOLS)[:4]}
    plan = widening_of("ticks", (1, 2), four, {0: 2000}, window_bars)
    assert 0 < len(plan.moving) <= 4
    assert plan.read_bars == 2000
    assert plan.moved_bars == along * len(plan.moving)
    assert plan.passed_ticks == sum(four[name] for name in plan.moving)


def test_where_nobody_moves_it_says_so() -> None:
    assert widening_of("ticks", (1, 2), {}, {0: 0}, 8640).lines(0.0) == [
        "ticks: from 1 to 2 partitions; no symbol moves"
    ]


def test_what_lies_behind_a_state_is_what_may_do_so_until_the_symbol_moves() -> None:
    """Just after a bar has closed nothing does, and much just before the next one."""
    made = [(0, "A", 100), (0, "B", 120), (0, "A", 400), (1, "C", 7), (0, "B", 150)]
    bar = PartitionPipeline(PredictionSettings.of(settings())).process(records(walk(9))).bars[0]
    newest = []
    for at, (number, name, offset) in enumerate(made):
        source = Source(topic="ticks", partition=number, offset=offset)
        value = encode_bar(replace(bar, symbol=name, source=source))
        newest.append(FakeRecord(at, value, name.encode(), 0, "bars", number))
    newest.append(FakeRecord(9, b"no bar", b"D", 0, "bars", 1))
    assert ticks_behind(newest, {0: 410, 1: 58}) == {"A": 300, "B": 259, "C": 50}
