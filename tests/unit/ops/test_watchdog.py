from __future__ import annotations

import subprocess
import sys
import textwrap

from stream_app.ops.watchdog import EXIT_CODE, Stall


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


def ended(stuck: str) -> subprocess.CompletedProcess[str]:
    """A process whose main thread is stuck in `waits_for_ever`, as the watchdog has ended it."""
    code = textwrap.dedent("""
        import logging, sys, threading, time
        from stream_app.ops.watchdog import Watchdog

        logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")

        def also_waits(lock):
            lock.acquire()

        def waits_for_ever():
            STUCK

        lock = threading.Lock()
        lock.acquire()
        threading.Thread(target=also_waits, args=(lock,), daemon=True).start()
        Watchdog(0.1, signs=lambda: 7, busy=lambda: True).start()
        waits_for_ever()
    """)
    return subprocess.run(
        [sys.executable, "-c", code.replace("STUCK", stuck)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_stuck_process_says_where_each_thread_is_before_it_ends() -> None:
    done = ended("time.sleep(1000)")
    assert done.returncode == EXIT_CODE, done.stderr
    told, _, traces = done.stderr.partition("\n")
    assert told == (
        "CRITICAL nothing was answered for 0.1 s though there are ticks: ending with exit code 3, "
        "to be started again; where each thread is:"
    )
    assert "in waits_for_ever" in traces
    assert "in also_waits" in traces


def test_a_process_that_is_stuck_in_its_log_ends_too() -> None:
    done = ended("logging.root.handlers[0].acquire(); time.sleep(1000)")
    assert done.returncode == EXIT_CODE, done.stderr
