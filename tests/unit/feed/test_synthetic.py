from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kurtosis

from stream_app.errors import SourceError
from stream_app.feed.pace import Speed
from stream_app.feed.synthetic import fit_to_clock, synthetic_ticks
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import decode_tick, encode_tick

START = 1_640_995_200_000


def made(
    count: int, symbols: Sequence[str] = ("A",), *, seed: int = 7, interval_ms: float = 1000.0
) -> list[Tick]:
    ticks = synthetic_ticks(symbols=symbols, seed=seed, start_ms=START, interval_ms=interval_ms)
    return list(itertools.islice(ticks, count))


def log_returns(ticks: Sequence[Tick]) -> NDArray[np.float64]:
    return np.diff(np.log([tick.price for tick in ticks]))


def autocorrelation(values: NDArray[np.float64], lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def test_the_same_seed_gives_the_same_ticks_and_another_gives_others() -> None:
    assert made(3000, ("A", "B")) == made(3000, ("A", "B"))
    assert made(3000, ("A", "B")) != made(3000, ("A", "B"), seed=8)


def test_a_symbol_does_not_depend_on_the_others() -> None:
    alone = [tick.price for tick in made(100, ("B",))]
    among = [tick.price for tick in made(300, ("A", "B", "C")) if tick.symbol == "B"]

    assert alone == among
    assert alone != [tick.price for tick in made(100, ("A",))]


def test_symbols_take_turns_evenly_in_order_of_event_time() -> None:
    ticks = made(7, ("A", "B", "C"), interval_ms=1000.0)

    assert [tick.symbol for tick in ticks] == ["A", "B", "C", "A", "B", "C", "A"]
    assert [tick.ts - START for tick in ticks] == [0, 333, 666, 1000, 1333, 1666, 2000]


def test_an_interval_may_be_a_fraction_of_a_millisecond() -> None:
    ticks = made(5, interval_ms=0.4)

    assert [tick.ts - START for tick in ticks] == [0, 0, 0, 1, 1]


def test_every_tick_is_valid_on_the_wire() -> None:
    for tick in made(5000, ("A", "BTC/USD:x")):
        assert decode_tick(encode_tick(tick), tick.symbol.encode(), tick.ts, 0.0) == tick


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_volatility_comes_in_clusters(seed: int) -> None:
    returns = log_returns(made(50_000, seed=seed))
    sizes = np.minimum(np.abs(returns), 4 * returns.std())  # without the jumps

    assert autocorrelation(sizes, 1) > 0.1
    assert autocorrelation(sizes, 20) > 0.05
    assert abs(autocorrelation(returns, 1)) < 0.05
    shuffled = np.random.default_rng(seed).permutation(sizes)
    assert abs(autocorrelation(shuffled, 1)) < 0.03


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_there_are_jumps(seed: int) -> None:
    returns = log_returns(made(50_000, seed=seed))

    assert kurtosis(returns) > 5
    assert 5 <= (np.abs(returns) > 8 * returns.std()).sum() <= 50


def test_the_volatility_is_about_what_was_asked_for() -> None:
    ticks = synthetic_ticks(
        symbols=["A"], seed=7, start_ms=START, interval_ms=60_000, volatility=0.3
    )
    returns = log_returns(list(itertools.islice(ticks, 100_000)))

    assert returns.std() * np.sqrt(365 * 24 * 60) == pytest.approx(0.3, rel=0.15)


@pytest.mark.parametrize(
    ("symbols", "found"),
    [
        (["a b"], "--symbol 'a b': looked for"),
        (["A", "A"], "symbols A, A: looked for one or more different"),
        ([], "symbols (none): looked for one or more different"),
    ],
)
def test_wrong_symbols_are_refused_at_once(symbols: list[str], found: str) -> None:
    with pytest.raises(SourceError) as refusal:
        synthetic_ticks(symbols=symbols, seed=7, start_ms=START, interval_ms=1.0)

    assert str(refusal.value).startswith(found)


@pytest.mark.parametrize(
    ("speed", "ticks", "start_ms", "interval_ms", "expected"),
    [
        (Speed(factor=1.0), None, None, None, (START, 1000.0)),
        (Speed(per_second=500.0), None, None, None, (START, 4.0)),
        (Speed(per_second=3.0), None, None, None, (START, 2000 / 3)),
        (Speed(per_second=500.0), 100, None, None, (START, 4.0)),
        (Speed(per_second=500.0), 100, None, 1000.0, (START - 50_000, 1000.0)),
        (Speed(), 100, None, None, (START - 50_000, 1000.0)),
        (Speed(factor=60.0), 100, None, 10.0, (START - 500, 10.0)),
        (Speed(), 100, 5, None, (5, 1000.0)),
        (Speed(), None, 5, 2.0, (5, 2.0)),
    ],
)
def test_event_times_do_not_run_ahead_of_the_clock(
    speed: Speed,
    ticks: int | None,
    start_ms: int | None,
    interval_ms: float | None,
    expected: tuple[int, float],
) -> None:
    fitted = fit_to_clock(
        speed, symbols=2, ticks=ticks, start_ms=start_ms, interval_ms=interval_ms, now_ms=START
    )

    assert fitted == expected


@pytest.mark.parametrize("speed", [Speed(), Speed(factor=2.0), Speed(per_second=500.0)])
def test_ticks_without_end_that_outrun_the_clock_are_refused(speed: Speed) -> None:
    with pytest.raises(SourceError, match=r"the future.*give --ticks, --start or a slower --speed"):
        fit_to_clock(speed, symbols=2, ticks=None, start_ms=None, interval_ms=1000.0, now_ms=START)
