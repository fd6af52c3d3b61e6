"""Ticks that are only noted say the same as ticks that are sorted in one by one."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.bars.recent_ticks import REMEMBERED_TICKS, RecentTicks
from stream_app.messages.arrivals import TickKey

GRACE_MS = 5000


def key(ts: int, price: float = 1.0, id_: str | None = None) -> TickKey:
    return ts, price, None, None, id_


@pytest.mark.parametrize("seed", range(20))
def test_notes_of_many_ticks_are_as_good_as_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    together, alone = RecentTicks(GRACE_MS), RecentTicks(GRACE_MS)
    ts = 1_000_000
    for _ in range(150):
        if rng.random() < 0.3:  # one that may be older, as far as the grace
            ts_one = ts - int(rng.integers(0, GRACE_MS)) + int(rng.integers(0, 3000))
            one = key(ts_one, float(rng.integers(1, 4)))
            assert together.knows(one) == alone.knows(one)
            if not alone.knows(one):
                together.add(one, ts_one + 7)
                alone.add(one, ts_one + 7)
                ts = max(ts, ts_one)
        else:
            steps = rng.integers(0, rng.choice([3, 900, 20_000]), rng.integers(1, 60))
            stamps = ts + np.cumsum(steps)
            keys = [key(int(at), id_=f"{number}") for number, at in enumerate(stamps, 1)]
            keys = [each for each in keys if not alone.knows(each)]
            if not keys:
                continue
            assert together.found_in(keys) == alone.found_in(keys) == []
            appended = [each[0] + int(rng.integers(0, 50)) for each in keys]
            together.go_on(keys, appended)
            for each, at in zip(keys, appended, strict=True):
                alone.add(each, at)
            ts = keys[-1][0]
        assert together.newest_ts == alone.newest_ts
        if rng.random() < 0.2:
            assert together.state() == alone.state()
    assert together.state() == alone.state()


def test_a_tick_is_found_among_those_that_wait() -> None:
    recent = RecentTicks(GRACE_MS)
    recent.go_on([key(1000), key(1000, 2.0), key(2000)], [None] * 3)
    assert recent.knows(key(1000, 2.0))
    assert recent.found_in([key(2000)]) == [0]
    assert recent.found_in([key(2000, 5.0), key(2000)]) == [1]
    assert recent.found_in([key(2001), key(2001)]) == [1]
    assert recent.found_in([key(2001), key(2002)]) == []


def test_what_waits_is_bounded() -> None:
    recent = RecentTicks(GRACE_MS)
    for ts in range(5 * REMEMBERED_TICKS):
        recent.go_on([key(ts)], [None])
    assert len(recent._waiting) < 100
    assert len(recent.state()["seen"]) == REMEMBERED_TICKS


def test_a_state_of_before_there_were_steps_and_ids_is_read() -> None:
    recent = RecentTicks(GRACE_MS)
    recent.go_on([key(1)], [None])
    recent.restore({"newest_ts": 9, "seen": [[9, 1.0, None, None]]})
    assert recent.knows(key(9))
    assert not recent.knows(key(1))
    assert recent.newest_ts == 9
