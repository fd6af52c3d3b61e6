from __future__ import annotations

from dataclasses import dataclass

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_app.worker.ledger import Batch, Ledger

TICKS = TP("market.ticks.v1", 0)


@dataclass
class Record:
    offset: int


def batch(first: int, last: int, tp: TP = TICKS) -> Batch:
    return Batch(tp, tuple(Record(offset) for offset in range(first, last + 1)))


def test_nothing_is_committable_before_a_batch_is_answered() -> None:
    ledger = Ledger()
    ledger.hand_out(batch(0, 9))
    assert ledger.committable(TICKS) is None


def test_an_answered_batch_is_committable_up_to_its_last_record() -> None:
    ledger = Ledger()
    one = batch(0, 9)
    ledger.hand_out(one)
    one.answered()
    assert ledger.committable(TICKS) == 10


def test_a_first_batch_of_one_record_at_offset_zero_does_not_stop_the_commits() -> None:
    ledger = Ledger()
    for one in (batch(0, 0), batch(1, 40)):
        ledger.hand_out(one)
        one.answered()
    assert ledger.committable(TICKS) == 41


def test_gaps_in_the_log_are_no_obstacle() -> None:
    ledger = Ledger()
    for one in (batch(0, 4), batch(100, 104), batch(900, 900)):
        ledger.hand_out(one)
        one.answered()
    assert ledger.committable(TICKS) == 901


def test_a_failed_commit_is_offered_again() -> None:
    ledger = Ledger()
    one = batch(3, 5)
    ledger.hand_out(one)
    one.answered()
    assert ledger.committable(TICKS) == 6
    assert ledger.committable(TICKS) == 6


def test_forgotten_partitions_offer_nothing() -> None:
    ledger = Ledger()
    one = batch(3, 5)
    ledger.hand_out(one)
    one.answered()
    ledger.forget([TICKS])
    assert ledger.committable(TICKS) is None
    assert ledger.partitions() == []


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=20), st.data()
)
def test_the_committable_offset_never_passes_an_unanswered_batch(
    shape: list[tuple[int, int]], data: st.DataObject
) -> None:
    ledger, batches, at = Ledger(), [], 0
    for size, gap in shape:
        batches.append(batch(at, at + size - 1))
        ledger.hand_out(batches[-1])
        at += size + gap
    for one in data.draw(st.permutations(batches)):
        if data.draw(st.booleans()):
            one.answered()
        unanswered = [item.first_offset for item in batches if not item.is_answered]
        committable = ledger.committable(TICKS)
        if unanswered:
            assert committable is None or committable <= unanswered[0]
        else:
            assert committable == batches[-1].last_offset + 1


def test_the_agent_is_busy_until_it_is_through_with_all_batches_answered_or_not() -> None:
    ledger = Ledger()
    one, two = batch(0, 9), batch(10, 19)
    ledger.hand_out(one)
    ledger.hand_out(two)
    one.answered()
    assert ledger.is_busy
    ledger.take_back(one)
    assert ledger.is_busy
    ledger.take_back(two)
    assert not ledger.is_busy


def test_the_agent_is_not_busy_with_batches_of_a_partition_that_is_gone() -> None:
    ledger = Ledger()
    other = TP("market.ticks.v1", 1)
    ledger.hand_out(batch(0, 9))
    ledger.hand_out(batch(0, 9, other))
    ledger.forget([TICKS])
    assert ledger.is_busy
    ledger.forget([other])
    assert not ledger.is_busy


def test_an_answered_batch_keeps_its_offsets_and_no_records_until_its_commit() -> None:
    ledger = Ledger()
    one = batch(5, 9)
    ledger.hand_out(one)
    one.answered()
    assert not one.records
    assert (one.first_offset, one.last_offset) == (5, 9)
    assert ledger.committable(TICKS) == 10
