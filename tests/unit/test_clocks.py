"""Event times as feeds with broken, late and silent clocks send them.

What is promised: every tick is answered or in the dead letters; a bar without ticks is counted
in `empty_before` and never made up; whatever the times, all that is computed stays finite.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from stream_app.bars.contexts import bar_vectors
from stream_app.bars.features import LOOKBACK
from stream_app.clock import DAY_MS, HOUR_MS
from stream_app.messages.schemas import Tick
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from stream_app.prediction.observation import AHEAD, LATE
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings
from tests.builders import FakeRecord, record, settings, walk
from tests.fakes import model_set

SETTINGS = settings()
BAR_MS = SETTINGS.bar_ms
GRACE_MS = int(SETTINGS.grace_seconds * 1000)
CLOSE_ON_FRIDAY = int(datetime(2022, 1, 7, 21, tzinfo=UTC).timestamp() * 1000)
OPEN_ON_SUNDAY = int(datetime(2022, 1, 9, 22, tzinfo=UTC).timestamp() * 1000)


class Feed:
    """One symbol's pipeline with fake models, fed tick by tick as the records come."""

    def __init__(self, **overrides: Any) -> None:
        self.pipeline = PartitionPipeline(
            PredictionSettings.of(settings(model_max_age_hours=1e7, **overrides))
        )
        self.pipeline.pipeline_of("BTC").models = model_set(trained_to_ts=0)
        self.window = self.pipeline.pipeline_of("BTC").window
        self.offset = 0

    def send(self, ticks: Iterable[Tick], *, received: int | Iterable[int] | None = None) -> Answer:
        """Enter ticks; the broker's clock is right on time unless told otherwise."""
        times = None if received is None or isinstance(received, int) else iter(received)
        sent = []
        for tick in ticks:
            made = record(self.offset, tick)
            if times is not None:
                made.timestamp = next(times)
            else:
                made.timestamp = received if isinstance(received, int) else tick.ts
            sent.append(made)
            self.offset += 1
        answer = self.pipeline.process(sent)
        self.check(sent, answer)
        return answer

    def check(self, sent: list[FakeRecord], answer: Answer) -> None:
        """Every record has its answer, and nothing is anything but a finite number."""
        answered = [item.source.offset for item in answer.predictions]
        refused = [letter.record.offset for letter in answer.dead_letters]
        assert sorted(answered + refused) == [item.offset for item in sent]
        for value in [*map(asdict, answer.predictions), *map(asdict, answer.bars)]:
            assert all_finite(value), value
        symbol = self.pipeline.pipeline_of("BTC")
        assert all_finite(symbol.kalman.to_state())
        assert symbol.kalman.last_ts < 0 or min(symbol.kalman.p00, symbol.kalman.p11) > 0
        columns = symbol.window.columns()
        assert np.isfinite(bar_vectors(columns)).all()
        assert (np.diff(columns.ts_open) > 0).all()
        assert not len(columns) or (columns.ts_open % BAR_MS == 0).all()


def all_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(all_finite, value))
    return True


def degraded(answer: Answer) -> list[bool]:
    return [LATE in item.degraded for item in answer.predictions]


def tick(ts: int, price: float = 40_000.0) -> Tick:
    return Tick(symbol="BTC", price=price, ts=ts)


def entered(feed: Feed, answer: Answer) -> int:
    """How many ticks are in closed and open bars, when the answer is to all of them."""
    closed = sum(bar.ticks for bar in answer.bars)
    still_open: int = sum(bar.ticks for bar in feed.window.open_bars)
    return closed + still_open


def last_of(feed: Feed) -> int:
    return feed.window.newest_ts


# Backwards


@pytest.mark.parametrize("back_ms", [GRACE_MS + 1, BAR_MS, HOUR_MS, 5 * DAY_MS, 4000 * DAY_MS])
def test_one_tick_that_goes_back_is_answered_as_late_and_changes_nothing(back_ms: int) -> None:
    feed = Feed()
    feed.send(walk(400))
    before, now = feed.window.state(), last_of(feed)
    answer = feed.send([tick(now - back_ms, 1.0)], received=now)
    assert degraded(answer) == [True]
    assert answer.late == 1
    assert feed.window.state() == before
    assert answer.predictions[0].last_price == feed.window.open_bars[-1].close > 1.0
    assert degraded(feed.send([tick(now + 1)])) == [False]


def test_one_tick_within_the_grace_enters_its_own_bar() -> None:
    feed = Feed()
    feed.send(walk(400))
    now = last_of(feed)
    edge = now - now % BAR_MS + BAR_MS
    feed.send([tick(edge, 40_000.0)])
    answer = feed.send([tick(edge - GRACE_MS, 50_000.0)])
    assert degraded(answer) == [False]
    assert [bar.high for bar in feed.window.open_bars] == [50_000.0, 40_000.0]
    assert answer.predictions[0].last_price == 40_000.0


def test_all_ticks_in_reverse_order_are_answered_and_only_the_first_counts() -> None:
    feed = Feed()
    ticks = list(walk(400))
    answer = feed.send(reversed(ticks), received=ticks[-1].ts)
    # The grace is shorter than the step between two ticks.
    assert degraded(answer) == [False] + [True] * 399
    assert answer.bars == []
    assert {item.last_price for item in answer.predictions} == {ticks[-1].price}


def test_a_feed_that_goes_back_for_long_is_answered_throughout_and_resumes_when_it_catches_up() -> (
    None
):
    """Three hours back: until the clock is there again the window stands, and every answer says so.

    The newest price that the window has stands meanwhile; bars are never made twice.
    """
    feed = Feed()
    first = list(walk(1200))
    feed.send(first)
    now, bars = last_of(feed), len(feed.window)
    again = list(walk(1500, seed=2, start=now - 3 * HOUR_MS))
    answer = feed.send(again)
    late = degraded(answer)
    assert late == [item.ts < now - GRACE_MS for item in again]
    assert 700 < sum(late) < 730
    assert {item.last_price for item in answer.predictions[:700]} == {first[-1].price}
    assert len(feed.window) > bars
    starts = [bar.ts_open for bar in answer.bars]
    assert starts == sorted(set(starts))
    assert starts[0] >= now - now % BAR_MS


def test_times_that_jump_at_random_by_days_are_all_answered() -> None:
    feed = Feed()
    rng = random.Random(5)  # noqa: S311 - repeatable
    now, newest, late = CLOSE_ON_FRIDAY, 0, 0
    for made in walk(900):
        now += rng.choice((1000, 15_000, 60_000))
        if rng.random() < 0.01:
            now += rng.choice((2 * DAY_MS, -DAY_MS))
        ts = now - rng.choice((0, 0, 0, 2000, HOUR_MS, 3 * DAY_MS))
        expected = ts < newest - GRACE_MS
        assert degraded(feed.send([tick(ts, made.price)])) == [expected]
        newest, late = max(newest, ts), late + expected
    assert 200 < late < 900
    assert len(feed.window) > 10


# Clocks that are wrong


@pytest.mark.parametrize(
    "ts",
    [0, 1, 1_700_000_000, EARLIEST_TS - 1, LATEST_TS + 1, 1_700_000_000_000_000, 2**63 - 1, -1],
    ids=["1970", "1970+1ms", "seconds", "1999", "2100", "microseconds", "int64", "1969"],
)
def test_a_clock_that_was_never_set_or_has_another_unit_goes_to_the_dead_letters(ts: int) -> None:
    feed = Feed()
    feed.send(walk(400))
    before = feed.window.state()
    answer = feed.send([tick(ts)], received=last_of(feed))
    assert [letter.rejection.reason for letter in answer.dead_letters] == ["bad_time"]
    assert feed.window.state() == before


def test_a_first_tick_from_long_ago_does_no_harm() -> None:
    feed = Feed()
    answer = feed.send([tick(EARLIEST_TS), *walk(400)])
    assert not any(degraded(answer))
    assert answer.bars[1].empty_before > 10_000_000
    assert len(feed.window) == len(answer.bars)


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 400 * DAY_MS, LATEST_TS - CLOSE_ON_FRIDAY])
def test_a_tick_from_the_future_goes_to_the_dead_letters_and_the_next_is_answered(
    ahead_ms: int,
) -> None:
    feed = Feed()
    feed.send(walk(400, start=CLOSE_ON_FRIDAY - 400 * 15_000))
    now, before = last_of(feed), feed.window.state()
    answer = feed.send([tick(now + ahead_ms)], received=now)
    assert [letter.rejection.reason for letter in answer.dead_letters] == ["future_time"]
    assert feed.window.state() == before
    assert degraded(feed.send([tick(now + 1000)])) == [False]


def test_a_clock_ten_minutes_ahead_is_refused_until_it_is_corrected() -> None:
    feed = Feed()  # MAX_FUTURE_SECONDS is 300
    feed.send(walk(400))
    now = last_of(feed)
    for minute in range(5):
        answer = feed.send([tick(now + (minute + 10) * 60_000)], received=now + minute * 60_000)
        assert [letter.rejection.reason for letter in answer.dead_letters] == ["future_time"]
    assert degraded(feed.send(walk(40, start=now + 5 * 60_000))) == [False] * 40


def test_a_clock_ten_minutes_ahead_that_is_believed_holds_the_window_for_as_long() -> None:
    """With MAX_FUTURE_SECONDS above the error: several ticks in a row confirm their wrong time.

    After the correction the ticks are late until the right clock has passed the wrong one; each
    is answered, says so, and the first tick after it goes on as usual. The last wrong tick has
    none after it that confirms it, and is left out.
    """
    feed = Feed(max_future_seconds=3600.0)
    feed.send(walk(400))
    now = last_of(feed)
    ahead = feed.send(
        [tick(now + (minute + 10) * 60_000, 41_000.0) for minute in range(5)], received=now
    )
    assert not any(degraded(ahead))
    wrong = last_of(feed)
    assert wrong == now + 13 * 60_000
    corrected = list(walk(100, start=now + 5 * 60_000))
    answer = feed.send(corrected)
    assert degraded(answer) == [item.ts < wrong - GRACE_MS for item in corrected]
    assert sum(degraded(answer)) == 8 * 4
    assert answer.ahead == 1
    # The wrong clock's gap is in the bars as what it is.
    assert next(bar for bar in ahead.bars if bar.empty_before).empty_before == 9


@pytest.mark.parametrize("ahead_ms", [20_000, 290_000])
@pytest.mark.parametrize("step_ms", [1000, 100], ids=["1/s", "10/s"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "replayed"])
def test_one_tick_ahead_costs_one_tick(ahead_ms: int, step_ms: int, live: bool) -> None:
    """Its price is 5 % off: no other answer says so, and no state but the count does."""
    ticks = list(walk(1200, step_ms=step_ms))
    wrong = tick(ticks[599].ts + ahead_ms, ticks[599].price * 1.05)

    received = [item.ts + 100 if live else ticks[-1].ts + 400 * DAY_MS for item in ticks]
    with_it, without = Feed(), Feed()
    without.send(ticks, received=received)
    answer = with_it.send(
        [*ticks[:600], wrong, *ticks[600:]],
        received=[*received[:600], received[599], *received[600:]],
    )
    given = list(answer.predictions)
    assert given[600].last_price == wrong.price
    assert (AHEAD in given[600].degraded) is live
    del given[600]
    assert [item.last_price for item in given] == [item.price for item in ticks]
    assert not {LATE, AHEAD} & {reason for item in given for reason in item.degraded}
    assert answer.ahead == 1
    assert [notice.kind for notice in answer.notices] == ["ahead"]
    assert with_it.window.state() == without.window.state()
    one, two = (feed.pipeline.pipeline_of("BTC") for feed in (with_it, without))
    assert one.kalman.to_state() == two.kalman.to_state()
    assert one.window.columns().log_close.tolist() == two.window.columns().log_close.tolist()


def test_some_ticks_ahead_in_a_row_are_left_out_together() -> None:
    feed = Feed()
    ticks = list(walk(600, step_ms=1000))
    feed.send(ticks[:300])
    now = ticks[299].ts
    wrong = [tick(now + 200_000 + number * 10, 50_000.0) for number in range(20)]
    feed.send(wrong, received=now)
    after = feed.send(ticks[300:])
    assert after.ahead == 20
    assert not any(degraded(after))
    assert [item.last_price for item in after.predictions] == [item.price for item in ticks[300:]]


@pytest.mark.parametrize("in_turn", [True, False], ids=["in turn", "at random"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "replayed"])
def test_of_two_venues_the_one_that_is_ahead_makes_the_other_late_no_more(
    in_turn: bool, live: bool
) -> None:
    """Every tick is answered from its own venue's price; what is left out is counted."""
    feed = Feed()
    rng = random.Random(3)  # noqa: S311 - repeatable
    right = list(walk(1500, step_ms=500))
    is_ahead = [
        number > 20 and (number % 2 == 1 if in_turn else rng.random() < 0.5)
        for number in range(len(right))
    ]
    sent = [
        tick(item.ts + 20_000, item.price * 1.001) if moved else item
        for item, moved in zip(right, is_ahead, strict=True)
    ]
    received = [item.ts + 50 if live else right[-1].ts + 400 * DAY_MS for item in right]
    answer = feed.send(sent, received=received)
    assert answer.late == 0
    assert [item.last_price for item in answer.predictions] == [item.price for item in sent]
    assert answer.ahead >= sum(is_ahead) - 40
    marked = sum(AHEAD in item.degraded for item in answer.predictions)
    assert marked == (sum(is_ahead) if live else 0)
    entered = sum(bar.ticks for bar in answer.bars) + sum(
        bar.ticks for bar in feed.window.open_bars
    )
    assert entered == len(sent) - sum(is_ahead)


@pytest.mark.parametrize("step_s", [60, 120])
def test_of_two_sparse_venues_in_a_replay_the_slower_is_late_and_says_so(step_s: int) -> None:
    """Steps of 20 s are within the rhythm of a tick a minute, and the records' time tells nothing.

    So the venue that is ahead has the bars, as if the other one were not there. Live, the records'
    time tells, and it is the other way round.
    """
    slower = list(walk(300, step_ms=step_s * 1000))
    # Its record comes a second before the other's, 20 s ahead of what its clock should say.
    faster = [tick(item.ts - 1000 + 20_000, item.price * 1.001) for item in slower[1:]]
    sent = [slower[0], *(each for pair in zip(faster, slower[1:], strict=True) for each in pair)]
    both, alone, live = Feed(), Feed(), Feed()
    replayed = slower[-1].ts + 400 * DAY_MS
    answer = both.send(sent, received=replayed)
    alone.send([slower[0], *faster], received=replayed)
    assert answer.late == len(slower) - 1
    assert [LATE in item.degraded for item in answer.predictions[1:]] == [False, True] * 299
    assert both.window.columns().log_close.tolist() == alone.window.columns().log_close.tolist()
    times = [slower[0].ts, *(item.ts - more for item in slower[1:] for more in (1000, 0))]
    answer = live.send(sent, received=[ts + 50 for ts in times])
    assert answer.late == 0
    assert [AHEAD in item.degraded for item in answer.predictions[1:]] == [True, False] * 299


@pytest.mark.parametrize("seconds", [3600, 86_400], ids=["hourly", "daily"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "replayed"])
def test_a_sparse_symbol_is_not_taken_for_one_that_is_ahead(seconds: int, live: bool) -> None:
    feed = Feed()
    ticks = list(walk(200, step_ms=seconds * 1000))
    answer = feed.send(ticks, received=None if live else ticks[-1].ts + DAY_MS)
    assert not {LATE, AHEAD} & {r for item in answer.predictions for r in item.degraded}
    assert answer.ahead == answer.late == 0
    # Each tick closes the bar of the one before it, at once.
    assert [bar.source.offset for bar in answer.bars] == list(range(1, 200))


@pytest.mark.parametrize("live", [True, False], ids=["live", "replayed"])
def test_weekends_and_nights_are_not_taken_for_a_clock_ahead(live: bool) -> None:
    """Nothing is lost, and no answer says anything, whatever the first ticks after a gap are."""
    feed = Feed()
    ticks: list[Tick] = []
    start = CLOSE_ON_FRIDAY - 3 * DAY_MS
    for day in (0, 1, 2, 5, 6):
        ticks += walk(1600, seed=day, start=start + day * DAY_MS, step_ms=1000)
    answer = feed.send(ticks, received=None if live else ticks[-1].ts + 9 * DAY_MS)
    assert answer.ahead == answer.late == 0
    assert not {LATE, AHEAD} & {r for item in answer.predictions for r in item.degraded}
    entered = sum(bar.ticks for bar in answer.bars) + sum(
        bar.ticks for bar in feed.window.open_bars
    )
    assert entered == len(ticks)
    assert [item.last_price for item in answer.predictions] == [item.price for item in ticks]


def test_a_straggler_of_before_the_gap_does_not_cost_the_first_ticks_after_it() -> None:
    feed = Feed()
    friday = list(walk(800, start=CLOSE_ON_FRIDAY - 800 * 1000, step_ms=1000))
    sunday = list(walk(800, seed=2, start=OPEN_ON_SUNDAY, step_ms=1000))
    later = OPEN_ON_SUNDAY + 300 * DAY_MS
    answer = feed.send([*friday[:-2], friday[-1], *sunday[:3]], received=later)
    answer = feed.send([friday[-2], *sunday[3:]], received=later)
    assert answer.ahead == answer.late == 0
    assert feed.window.columns().ts_open.tolist()[-1] > OPEN_ON_SUNDAY


def test_an_outlier_right_after_a_gap_costs_one_tick_too() -> None:
    feed = Feed()
    feed.send(walk(800, start=CLOSE_ON_FRIDAY - 800 * 1000, step_ms=1000), received=OPEN_ON_SUNDAY)
    sunday = list(walk(800, seed=2, start=OPEN_ON_SUNDAY, step_ms=1000))
    for number, item in enumerate(sunday):
        feed.send([item])
        if number == 40:
            feed.send([tick(item.ts + 290_000, 50_000.0)], received=item.ts)
            assert feed.window.ahead is not None
    assert feed.window.ahead is None
    assert max(bar.high for bar in feed.window.open_bars) < 45_000.0


def test_a_replay_of_old_ticks_loses_only_the_tick_that_is_ahead() -> None:
    """The records' time is today's: that a tick of last year is a year ahead, later ticks show."""
    feed = Feed()
    today = CLOSE_ON_FRIDAY + 800 * DAY_MS
    feed.send(walk(400), received=today)
    now = last_of(feed)
    ahead = feed.send([tick(now + 365 * DAY_MS, 50_000.0)], received=today)
    assert degraded(ahead) == [False]
    later = list(walk(401, seed=2, start=now))[1:]
    after = feed.send(later, received=today)
    assert not any(degraded(after))
    assert after.ahead == 1
    assert len(after.bars) == 100
    assert [item.last_price for item in after.predictions] == [item.price for item in later]


# Silence


def test_a_gap_over_a_weekend_is_marked_and_no_price_is_made_up() -> None:
    feed = Feed()
    friday = feed.send(walk(800, start=CLOSE_ON_FRIDAY - 800 * 15_000))
    monday = feed.send(walk(800, seed=2, start=OPEN_ON_SUNDAY))
    assert not any(degraded(friday) + degraded(monday))
    bars = [*friday.bars, *monday.bars]
    empty = (OPEN_ON_SUNDAY - CLOSE_ON_FRIDAY) // BAR_MS
    assert [bar.empty_before for bar in bars if bar.empty_before] == [empty]
    assert all(bar.ticks > 0 for bar in bars)
    assert not [bar for bar in bars if CLOSE_ON_FRIDAY <= bar.ts_open < OPEN_ON_SUNDAY]
    starts = feed.window.ts_open.tolist()
    assert starts == [bar.ts_open for bar in bars]


def test_a_training_row_never_has_a_target_across_a_gap() -> None:
    feed = Feed()
    feed.send(walk(800, start=CLOSE_ON_FRIDAY - 800 * 15_000))
    feed.send(walk(800, seed=2, start=OPEN_ON_SUNDAY))
    for horizon in (1, 5):
        chosen = model_settings(settings(horizon_bars=horizon))
        columns = feed.window.columns()
        data = prepare(columns, chosen)
        last = int(np.searchsorted(columns.ts_open, CLOSE_ON_FRIDAY))
        without = np.flatnonzero(np.isnan(data.target)).tolist()
        count = len(columns)
        assert without == [*range(last - horizon, last), *range(count - horizon, count)]
        assert not set(without) & set(data.rows.tolist())
        assert np.isfinite(data.features[data.rows]).all()


@pytest.mark.parametrize("days", [1, 3, 30, 700])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 2.0])
def test_a_symbol_silent_for_days_goes_on_with_the_price_it_comes_back_with(
    days: int, ratio: float
) -> None:
    feed = Feed()
    feed.send(walk(400))
    price = 40_000.0 * ratio
    back = last_of(feed) + days * DAY_MS
    answer = feed.send([tick(back, price)])
    assert degraded(answer) == [False]
    assert answer.predictions[0].last_price == price
    # No model answers from a price that the market has left behind.
    assert answer.predictions[0].prediction == pytest.approx(price, rel=0.02)
    after = feed.send(tick(back + n * 15_000, price) for n in range(1, 200))
    assert sum(bar.empty_before for bar in [*answer.bars, *after.bars]) in (
        days * 1440 - 1,
        days * 1440,
    )
    assert after.predictions[-1].prediction == pytest.approx(price, rel=0.005)


def test_the_bias_correction_learns_nothing_from_a_gap() -> None:
    feed = Feed()
    feed.send(walk(800, start=CLOSE_ON_FRIDAY - 800 * 15_000))
    symbol = feed.pipeline.pipeline_of("BTC")
    before = symbol.record.bias.value
    feed.send([tick(OPEN_ON_SUNDAY, 30_000.0), tick(OPEN_ON_SUNDAY + BAR_MS + GRACE_MS, 30_000.0)])
    # Friday's last bar but one was a horizon before its last; across the gap there is no error.
    assert abs(symbol.record.bias.value - before) < 1e-4


# The calendar


@pytest.mark.parametrize(
    "middle",
    [
        datetime(2024, 2, 29, tzinfo=UTC),
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2023, 3, 1, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC) - timedelta(hours=2),
        datetime(2000, 2, 29, tzinfo=UTC),
        datetime(2022, 1, 1, tzinfo=UTC),
        datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),  # before a leap second
        datetime(2024, 3, 31, 1, tzinfo=UTC),  # Europe's clocks go forward
        datetime(2024, 10, 27, 1, tzinfo=UTC),  # and back
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),  # 2**31 seconds
    ],
    ids=lambda moment: moment.isoformat(),
)
def test_no_date_is_special(middle: datetime) -> None:
    around = int(middle.timestamp() * 1000)
    start = around - around % BAR_MS - 75 * BAR_MS
    feed = Feed()
    answer = feed.send(walk(600, start=start))
    assert not any(degraded(answer))
    assert answer.dead_letters == []
    starts = [bar.ts_open for bar in answer.bars]
    assert starts == list(range(start, start + len(starts) * BAR_MS, BAR_MS))
    assert {bar.empty_before for bar in answer.bars} == {0}
    assert {bar.ticks for bar in answer.bars} == {4}


def test_the_time_of_the_week_is_the_same_on_both_sides_of_a_leap_day() -> None:
    week = 7 * DAY_MS
    leap = int(datetime(2024, 2, 29, 12, tzinfo=UTC).timestamp() * 1000)
    rows = []
    for start in (leap - week, leap, leap + week):
        feed = Feed()
        feed.send(walk(4 * (LOOKBACK + 10), start=start))
        rows.append(bar_vectors(feed.window.columns())[:, -4:])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
    np.testing.assert_allclose(rows[1], rows[2], atol=1e-5)
