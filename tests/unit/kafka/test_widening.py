"""What is said before partitions are added."""

from __future__ import annotations

import pytest

from stream_app.kafka.placement import partition_of
from stream_app.kafka.widening import LEARN_S, MOVE_PER_S, READ_PER_S, SHOWN, widening_of

SYMBOLS = [f"S{number}" for number in range(40)]


def test_those_move_whose_key_belongs_elsewhere_then() -> None:
    plan = widening_of("ticks", (2, 5), SYMBOLS, {0: 2000, 1: 1000}, 8640)
    for name in SYMBOLS:
        way = tuple(partition_of(name.encode(), range(count)) for count in (2, 5))
        assert plan.moving.get(name, (way[0], way[0])) == way
    assert len(plan.moving) + plan.staying == len(SYMBOLS)
    first, second = plan.lines()
    assert first.startswith(f"ticks: from 2 to 5 partitions; {len(plan.moving)} of 40 symbols move")
    assert first.endswith(f" and {len(plan.moving) - SHOWN} more")
    assert f"{plan.pause_s:.0f} s in all" in second


@pytest.mark.parametrize(("window_bars", "along"), [(8640, 500), (100, 100)])
def test_each_way_is_read_once_and_a_symbol_takes_no_more_than_a_window(
    window_bars: int, along: int
) -> None:
    plan = widening_of("ticks", (1, 2), SYMBOLS[:4], {0: 2000}, window_bars)
    assert 0 < len(plan.moving) <= 4
    assert plan.read_bars == 2000
    assert plan.moved_bars == along * len(plan.moving)
    assert plan.pause_s == pytest.approx(LEARN_S + 2000 / READ_PER_S + plan.moved_bars / MOVE_PER_S)


def test_where_nobody_moves_it_says_so() -> None:
    assert widening_of("ticks", (1, 2), [], {0: 0}, 8640).lines() == [
        "ticks: from 1 to 2 partitions; no symbol moves"
    ]
