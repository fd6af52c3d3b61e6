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


def placed(*tps: TP) -> Ledger:
    ledger = Ledger()
    for tp in tps or (TICKS,):
        ledger.place(tp, 0)
    return ledger


def hand_out(ledger: Ledger, first: int, last: int, tp: TP = TICKS) -> Batch:
    return ledger.hand_out(tp, tuple(Record(offset) for offset in range(first, last + 1)))


def answer(ledger: Ledger, batch: Batch) -> None:
    batch.is_answered = True
    ledger.done(batch)


def test_nothing_is_committable_before_a_batch_is_answered() -> None:
    ledger = placed()
    hand_out(ledger, 0, 9)
    assert ledger.committable(TICKS) is None


def test_a_batch_that_the_agent_is_done_with_is_not_committable_unless_it_is_answered() -> None:
    ledger = placed()
    ledger.done(hand_out(ledger, 0, 9))
    answer(ledger, hand_out(ledger, 10, 19))
    assert ledger.committable(TICKS) is None


def test_an_answered_batch_is_committable_up_to_its_last_record() -> None:
    ledger = placed()
    answer(ledger, hand_out(ledger, 0, 9))
    assert ledger.committable(TICKS) == 10


def test_a_first_batch_of_one_record_at_offset_zero_does_not_stop_the_commits() -> None:
    ledger = placed()
    for first, last in ((0, 0), (1, 40)):
        answer(ledger, hand_out(ledger, first, last))
    assert ledger.committable(TICKS) == 41


def test_gaps_in_the_log_are_no_obstacle() -> None:
    ledger = placed()
    for first, last in ((0, 4), (100, 104), (900, 900)):
        answer(ledger, hand_out(ledger, first, last))
    assert ledger.committable(TICKS) == 901


def test_a_batch_says_from_where_the_log_was_read() -> None:
    ledger = placed()
    read = [hand_out(ledger, first, last).read_from for first, last in ((3, 4), (100, 104))]
    assert read == [0, 5]


def test_a_failed_commit_is_offered_again() -> None:
    ledger = placed()
    answer(ledger, hand_out(ledger, 3, 5))
    assert ledger.committable(TICKS) == 6
    assert ledger.committable(TICKS) == 6


def test_forgotten_partitions_offer_nothing_and_their_batches_are_void() -> None:
    ledger = placed()
    batch = hand_out(ledger, 3, 5)
    answer(ledger, batch)
    ledger.forget([TICKS])
    assert ledger.committable(TICKS) is None
    assert ledger.partitions() == []
    assert batch.is_void


def test_a_partition_that_lost_its_place_goes_on_after_what_was_handed_out() -> None:
    ledger = placed()
    batch = hand_out(ledger, 0, 5)
    ledger.lose_place(TICKS)
    assert not ledger.is_placed(TICKS)
    assert ledger.next_offset(TICKS) == 6
    ledger.place(TICKS, 6)
    assert ledger.is_placed(TICKS)
    answer(ledger, batch)
    assert ledger.committable(TICKS) == 6


def test_a_partition_that_is_placed_elsewhere_voids_what_was_handed_out() -> None:
    ledger = placed()
    batch = hand_out(ledger, 0, 5)
    ledger.place(TICKS, 0)
    assert batch.is_void
    answer(ledger, batch)
    assert ledger.committable(TICKS) is None


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=20), st.data()
)
def test_the_committable_offset_never_passes_an_unanswered_batch(
    shape: list[tuple[int, int]], data: st.DataObject
) -> None:
    ledger, batches, at = placed(), [], 0
    for size, gap in shape:
        batches.append(hand_out(ledger, at, at + size - 1))
        at += size + gap
    for one in data.draw(st.permutations(batches)):
        if data.draw(st.booleans()):
            answer(ledger, one)
        unanswered = [item.first_offset for item in batches if not item.is_answered]
        committable = ledger.committable(TICKS)
        if unanswered:
            assert committable is None or committable <= unanswered[0]
        else:
            assert committable == batches[-1].last_offset + 1


def test_the_agent_is_busy_until_it_is_done_with_all_batches_answered_or_not() -> None:
    ledger = placed()
    one = hand_out(ledger, 0, 9)
    two = hand_out(ledger, 10, 19)
    one.is_answered = True
    assert ledger.is_busy
    ledger.done(one)
    assert ledger.is_busy
    ledger.done(two)
    assert not ledger.is_busy


def test_the_agent_is_not_busy_with_batches_of_a_partition_that_is_gone() -> None:
    other = TP("market.ticks.v1", 1)
    ledger = placed(TICKS, other)
    hand_out(ledger, 0, 9)
    hand_out(ledger, 0, 9, other)
    ledger.forget([TICKS])
    assert ledger.is_busy
    ledger.forget([other])
    assert not ledger.is_busy


def test_an_answered_batch_keeps_its_offsets_and_no_records_until_its_commit() -> None:
    ledger = placed()
    one = hand_out(ledger, 5, 9)
    answer(ledger, one)
    assert not one.records
    assert (one.first_offset, one.last_offset) == (5, 9)
    assert ledger.committable(TICKS) == 10


def test_what_is_given_back_is_read_again_from_there_and_what_lies_before_is_committed() -> None:
    ledger, other = placed(TICKS, TP("market.ticks.v1", 1)), TP("market.ticks.v1", 1)
    first, second, third = (hand_out(ledger, at, at + 9) for at in (0, 10, 20))
    beside = hand_out(ledger, 0, 4, other)
    answer(ledger, first)
    ledger.give_back(second)
    assert (second.is_void, third.is_void, beside.is_void) == (True, True, False)
    assert ledger.committable(TICKS) == 10
    assert ledger.next_offset(TICKS) == 10
    assert not ledger.is_placed(TICKS)
    busy = [ledger.is_busy]
    answer(ledger, beside)
    assert [*busy, ledger.is_busy] == [True, False]
    ledger.place(TICKS, 10)
    answer(ledger, hand_out(ledger, 10, 29))
    assert ledger.committable(TICKS) == 30


def test_a_batch_of_a_partition_that_has_gone_cannot_be_given_back() -> None:
    ledger = placed()
    batch = hand_out(ledger, 0, 9)
    ledger.forget([TICKS])
    ledger.place(TICKS, 0)
    ledger.give_back(batch)
    assert ledger.is_placed(TICKS)
