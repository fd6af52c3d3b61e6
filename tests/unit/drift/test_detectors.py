"""What the detectors are set to, and what they find."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from stream_app.drift.detectors import adwin_delta, detectors, page_hinkley_threshold
from stream_app.drift.usual import WARM_UP, Usual
from stream_app.messages.schemas import DriftDetector

VALUES = 3000


def alarms(name: DriftDetector, values: float, shares: Iterable[float]) -> list[int]:
    detector = detectors(values)[name]
    found = []
    for number, share in enumerate(shares):
        detector.update(share)
        if detector.drift_detected:
            found.append(number)
    return found


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
def test_on_numbers_that_do_not_change_an_alarm_comes_about_once_in_the_wanted_number(
    name: DriftDetector,
) -> None:
    shares = np.random.default_rng(5).uniform(size=100 * VALUES).tolist()
    count = len(alarms(name, VALUES, shares))
    # 100 are wanted; Siegmund's formula errs to the side of fewer.
    assert 55 <= count <= 130


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
def test_errors_that_double_are_found_soon(name: DriftDetector) -> None:
    """Against the bar of chance: in 60 values, one of 34,560 alarms once in 576 times."""
    delays = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        usual = Usual()
        sizes = np.abs(rng.normal(size=1200)) * np.where(np.arange(1200) < 1000, 1.0, 2.0)
        shares = [share for size in sizes.tolist() if (share := usual.take(size)) is not None]
        after = [at - (1000 - WARM_UP) for at in alarms(name, 34_560, shares)]
        delays += [at for at in after if at >= 0][:1]
    assert len(delays) == 20
    assert np.median(delays) < 60


def test_rarer_false_alarms_need_a_higher_threshold_and_a_smaller_delta() -> None:
    wanted = [1.0, 100.0, 8640.0, 34_560.0, 3e7]
    assert page_hinkley_threshold(wanted[0]) == 0.0
    thresholds = [page_hinkley_threshold(each) for each in wanted]
    assert all(low < high for low, high in pairwise(thresholds))
    deltas = [adwin_delta(each) for each in wanted]
    assert deltas[0] == 1.0
    assert all(high <= low for low, high in pairwise(deltas))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
def test_the_unit_of_an_input_does_not_matter(scale: float) -> None:
    sizes = np.abs(np.random.default_rng(1).normal(size=5000))
    plain, scaled = Usual(), Usual()
    for size in sizes.tolist():
        assert scaled.take(scale * size) == pytest.approx(plain.take(size))


def test_normal_errors_are_spread_evenly_and_heavier_tails_nearly_so() -> None:
    rng = np.random.default_rng(2)
    for sizes, off in ((rng.normal(size=50_000), 0.01), (rng.standard_t(4, size=50_000), 0.05)):
        usual = Usual()
        shares = [usual.take(size) for size in np.abs(sizes).tolist()]
        known = np.array([share for share in shares if share is not None])
        assert len(known) == len(sizes) - WARM_UP
        tenths = np.histogram(known, bins=10, range=(0, 1))[0] / len(known)
        assert np.abs(tenths - 0.1).max() < off


def test_prices_that_stand_still_are_nothing_unusual() -> None:
    usual = Usual()
    assert {usual.take(0.0) for _ in range(WARM_UP + 5)} == {None, 0.0}
    assert usual.take(1e-4) == pytest.approx(1.0)


def test_the_commands_that_do_not_detect_load_no_river() -> None:
    code = (
        "import sys, stream_app.app, stream_app.dashboard.run, stream_app.drift.run;"
        "print([name for name in ('river', 'sklearn') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[]"
