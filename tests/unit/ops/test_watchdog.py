from __future__ import annotations

from stream_app.ops.watchdog import Stall


def test_work_without_a_sign_of_life_is_stuck_after_the_limit() -> None:
    stall = Stall(10)
    assert not stall.is_stuck(0, signs=5, busy=True)
    assert not stall.is_stuck(10, signs=5, busy=True)
    assert stall.is_stuck(10.1, signs=5, busy=True)


def test_every_sign_of_life_starts_the_time_anew() -> None:
    stall = Stall(10)
    for second in range(0, 100, 9):
        assert not stall.is_stuck(second, signs=second, busy=True)


def test_with_nothing_to_do_nothing_is_stuck() -> None:
    stall = Stall(10)
    for second in range(0, 1000, 50):
        assert not stall.is_stuck(second, signs=1, busy=False)
    assert not stall.is_stuck(1001, signs=1, busy=True)
    assert stall.is_stuck(1011.5, signs=1, busy=True)
