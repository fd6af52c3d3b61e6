"""What `verify` and `history` make of retrain events and predictions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from stream_app.commands.checks import Answered, Check, members_check, training_checks
from stream_app.messages.schemas import RetrainEvent
from stream_app.terminal.cycles import history_sheet, shortened, waiting_line
from stream_app.terminal.width import WITHOUT_TERMINAL
from stream_app.training.standing import STOPPED, standings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STILL = "the price does not move"
WEIGHTS = {"kalman": 0.10, "random_forest": 0.30, "lightgbm": 0.35, "lstm": 0.25}


def event(minutes: float, *, symbols: str = "", versions: str | None = None, **more: Any) -> Any:
    """An ended cycle so many minutes after noon; one letter a symbol, all trained by default."""
    trained = symbols if versions is None else versions
    given: dict[str, Any] = {
        "cycle": f"c{minutes}",
        "state": "succeeded",
        "trigger": "scheduled",
        "timestamp": (NOON + timedelta(minutes=minutes)).isoformat(),
        "duration_seconds": 10.0,
        "lstm_included": True,
        "target_seconds": 45.0,
        "exceeded": False,
        "rows": 1,
        "worker": "w1",
        "symbols": tuple(symbols),
        "versions": dict.fromkeys(trained, f"v{minutes}"),
    }
    return RetrainEvent(**(given | more))


def checks(*events: RetrainEvent, minutes: float = 61) -> dict[str, Check]:
    now = NOON + timedelta(minutes=minutes)
    return {item.name: item for item in training_checks(events, HOUR, 45.0, now)}


def rows(*events: RetrainEvent) -> list[str]:
    """What `history` prints of them, below the title and the headings."""
    file = StringIO()
    Console(file=file, width=WITHOUT_TERMINAL).print(history_sheet(events))
    return file.getvalue().splitlines()[2:]


def failing(*events: RetrainEvent, minutes: float = 61) -> set[str]:
    return {name for name, item in checks(*events, minutes=minutes).items() if not item.passed}


INITIAL = event(0, symbols="AB", trigger="initial")


def test_a_system_whose_symbols_are_all_trained_passes() -> None:
    assert failing(INITIAL) == set()
    assert failing(INITIAL, event(60, symbols="AB")) == set()
    assert checks(INITIAL)["LSTM included"].detail == (
        "the last initial retrain (no hourly one has been due yet) succeeded, with the LSTM"
    )


def test_without_any_cycle_all_fail() -> None:
    assert failing() == {"initial training", "LSTM included", "in time", "every symbol"}


def test_symbols_that_wait_are_named_and_fail_when_it_is_longer_than_an_interval() -> None:
    first = event(0, symbols="A", trigger="initial", waiting_seconds={"C": 40.0, "B": 30.0})
    soon = checks(first, minutes=10)
    assert not soon["initial training"].passed
    assert soon["initial training"].detail == "without models so far: C, B"
    assert soon["every symbol"].passed
    assert soon["every symbol"].detail == (
        "1 trained; waiting for a training: C 10 min 40 s, B 10 min 30 s"
    )
    late = checks(first, minutes=59.5)
    assert not late["every symbol"].passed
    assert late["every symbol"].detail.endswith("; 1 for longer than 1 h")
    assert failing(first, event(1, symbols="CB", trigger="initial"), minutes=59.5) == set()


def test_a_trained_symbol_that_waits_has_models() -> None:
    waits = event(60, symbols="A", waiting_seconds={"B": 44.0})
    assert failing(INITIAL, waits, minutes=62) == set()
    assert failing(INITIAL, waits, minutes=121) == {"every symbol"}


def test_a_symbol_that_failed_in_its_last_training_is_named_with_its_reason() -> None:
    failed = event(60, symbols="AB", versions="A", state="failed", reasons=("B: Oops: no",))
    assert failing(INITIAL, failed) == {"LSTM included", "every symbol"}
    assert "failed: B (Oops: no)" in checks(INITIAL, failed)["every symbol"].detail
    mended = event(61, symbols="B", trigger="growth")
    assert failing(INITIAL, failed, mended) == {"LSTM included"}


def test_an_initial_training_that_failed_is_made_up_by_a_later_one() -> None:
    failed = event(
        0, symbols="AB", versions="A", trigger="initial", state="failed", reasons=("B: no",)
    )
    assert "initial training" in failing(failed)
    assert failing(failed, event(60, symbols="AB")) == set()


def test_one_workers_failure_is_seen_behind_anothers_success() -> None:
    failed = event(60, symbols="A", versions="", state="failed", reasons=("A: no",))
    other = event(60.5, symbols="B", worker="w2")
    assert failing(INITIAL, failed, other) == {"LSTM included", "every symbol"}
    slow = event(60, symbols="A", duration_seconds=50.0)
    assert failing(INITIAL, slow, other) == {"in time"}


def test_the_cycles_of_one_round_all_count() -> None:
    slow = event(60, symbols="A", duration_seconds=50.0, waiting_seconds={"B": 50.0})
    rest = event(61, symbols="B")
    assert failing(INITIAL, slow, rest, minutes=62) == {"in time"}
    assert checks(INITIAL, slow, rest)["in time"].detail.startswith(
        "the last hourly retrain (2 cycles) took 50.0 s"
    )
    assert failing(INITIAL, slow, rest, event(120, symbols="AB"), minutes=121) == set()


TOO_MANY = {"symbols": 1400.0, "fit": 1270.0, "interval_seconds": 3600.0}


def test_a_plan_that_does_not_fit_fails_until_it_does() -> None:
    planned = event(60, symbols="A", plan=TOO_MANY)
    assert failing(INITIAL, planned) == {"every symbol"}
    detail = checks(INITIAL, planned)["every symbol"].detail
    assert detail.endswith("w1 has 1,400 symbols, of which 1,270 fit into 1 h")
    assert failing(INITIAL, planned, event(61, symbols="B", worker="w2")) == {"every symbol"}
    fits = event(61, symbols="B", plan=TOO_MANY | {"fit": 1400.0})
    assert failing(INITIAL, planned, fits) == set()
    assert failing(planned, event(300, symbols="AB", worker="w2"), minutes=300) == set()
    (row,) = rows(planned)
    assert " succeeded; 1,400 symbols, of which 1,270 fit into 1 h  " in row


def test_a_skipped_symbol_fails_nothing() -> None:
    skipped = event(60, symbols="ABC", versions="AB", skipped={"C": STILL})
    assert failing(INITIAL, skipped) == set()
    assert f"skipped: C ({STILL})" in checks(INITIAL, skipped)["every symbol"].detail
    assert failing(event(0, symbols="C", versions="", trigger="initial", skipped={"C": STILL})) == (
        set()
    )


def test_what_the_workers_end_cut_off_is_made_up_at_the_next_start() -> None:
    cut = event(60, symbols="AB", versions="A", state="failed", reasons=(STOPPED,))
    assert failing(INITIAL, event(59, symbols="AB"), cut) == {"every symbol"}
    again = event(62, symbols="AB", trigger="initial", worker="w2")
    assert failing(INITIAL, event(59, symbols="AB"), cut, again, minutes=63) == set()


def test_a_symbol_that_is_in_no_event_any_more_has_gone() -> None:
    failed = event(0, symbols="AB", versions="A", state="failed", reasons=("B: no",))
    later = [event(60 * hour, symbols="A") for hour in (1, 2, 3)]
    assert failing(failed, *later, minutes=181) == set()


def answered(symbol: str, minutes: float = 90, *, lacks: str = "", **weights: float) -> Answered:
    given = {**WEIGHTS, **weights}
    return Answered(
        id=f"t-0-{symbol}",
        symbol=symbol,
        weights={name: weight for name, weight in given.items() if name != lacks},
        degraded=(f"{lacks}: not trained yet",) if lacks else (),
        at=NOON + timedelta(minutes=minutes),
    )


def members(*newest: Answered, weights: Any = None, events: Any = (INITIAL,)) -> Check:
    known = standings(events)
    given = {item.symbol: item for item in newest}
    return members_check(given, known, weights or WEIGHTS, looked_at=2000)


def test_the_newest_prediction_of_every_symbol_counts() -> None:
    check = members(answered("A"), answered("B"))
    assert check.passed
    assert check.detail == (
        "weights in t-0-B: kalman 0.10, random_forest 0.30, lightgbm 0.35, lstm 0.25; "
        "2 of 2 symbols well"
    )
    lacking = members(answered("A", lacks="lstm"), answered("B"))
    assert not lacking.passed
    assert "A lacks lstm; 1 of 2 symbols well" in lacking.detail
    assert not members().passed


def test_a_member_whose_weight_is_0_by_setting_need_not_answer() -> None:
    without = {**WEIGHTS, "lstm": 0.0, "kalman": 0.35}
    assert members(answered("A", lstm=0.0), weights=without).passed
    assert members(answered("A", lacks="lstm"), weights=without).passed
    assert not members(answered("A", lstm=0.0)).passed


def test_a_symbol_with_too_few_bars_is_said_and_fails_nothing_beside_one_that_is_well() -> None:
    check = members(answered("NEW", lacks="lstm"), answered("A"))
    assert check.passed
    assert "too few bars yet: NEW" in check.detail
    assert not members(answered("NEW", lacks="lstm")).passed


def test_a_symbol_without_a_tick_since_its_training_is_said_and_fails_nothing() -> None:
    silent = answered("A", minutes=-1, lacks="lstm")
    check = members(silent, answered("B"))
    assert check.passed
    assert "no tick since their training: A" in check.detail
    assert not members(silent).passed
    assert not members(answered("A", minutes=1, lacks="lstm"), answered("B")).passed


def test_a_symbol_that_is_not_among_the_predictions_that_were_searched_is_said() -> None:
    """It may have been answered long ago: that is no fault, and the count does not jump."""
    check = members(answered("A"))
    assert check.passed
    assert check.detail.endswith(
        "; not among the newest 2,000 predictions of a partition: B; 1 of 2 symbols well"
    )


def test_a_symbol_that_waits_for_its_first_training_fails() -> None:
    waits = event(0, symbols="A", waiting_seconds={"B": 1.0})
    assert not members(answered("A"), answered("B", lacks="lstm"), events=[waits]).passed


def test_a_skipped_symbol_lacks_models_rightly() -> None:
    skipped = event(0, symbols="C", versions="", skipped={"C": STILL})
    assert members(answered("C", lacks="lstm"), events=[skipped]).passed


def test_who_waits_is_said_with_the_longest_first() -> None:
    first = event(0, symbols="A", waiting_seconds={"B": 9.0, "C": 60.0, "D": 8.0, "E": 7.0})
    line = waiting_line(standings([first]).values(), NOON + timedelta(minutes=1))
    assert line == "waiting for a training: C 2 min, B 1 min 9 s, D 1 min 8 s and 1 more"
    assert waiting_line(standings([INITIAL]).values(), NOON) is None


def test_the_table_tells_who_waits_was_skipped_or_answers_the_last_price() -> None:
    full = replace(
        event(0, symbols="ABCD"),
        waiting_seconds={"E": 61.0, "F": 3.0},
        skipped={"B": STILL},
        last_price={"A": "kalman: no"},
    )
    first, second = rows(full, INITIAL)
    told = "succeeded; 2 waiting, up to 1 min 1 s; skipped B; last price for a model of A"
    assert f" {told}  " in first
    assert " succeeded  " in second


@pytest.mark.parametrize("count", [0, 1, 3, 4, 60])
def test_names_are_cut_and_counted(count: int) -> None:
    names = [f"S{number}" for number in range(count)]
    assert shortened(names).count("S") == min(count, 3)
    assert (f"and {count - 3} more" in shortened(names)) is (count > 3)


def test_refused_and_pinned_symbols_are_named_and_are_no_failure() -> None:
    told = event(
        60,
        symbols="ABC",
        versions="C",
        rejected={"A": "too_good: lstm: knows the future"},
        pinned={"B": "v60"},
    )
    first = event(0, symbols="ABC", trigger="initial")
    assert failing(first, told) == set()
    assert checks(first, told)["every symbol"].detail == (
        "2 trained; pinned: B; rejected: A (too_good: lstm: knows the future)"
    )
    (row,) = rows(told)
    assert " succeeded; rejected A: too_good: lstm: knows the future; pinned B  " in row


def test_a_symbol_whose_first_models_are_refused_has_none() -> None:
    refused = event(0, symbols="AB", versions="B", trigger="initial", rejected={"A": "stale: old"})
    assert failing(refused) == {"initial training"}
    assert standings([refused])["A"].state == "rejected"
