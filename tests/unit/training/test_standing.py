"""How a symbol stands, by the events."""

from __future__ import annotations

from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import RetrainEvent
from stream_app.training.standing import STOPPED, standings
from tests.topic_records import retrain


def failed(symbols: tuple[str, ...], reasons: tuple[str, ...]) -> RetrainEvent:
    record = retrain(1, "failed", symbols=symbols, versions={}, reasons=reasons)
    return decode_retrain_event(record.value or b"")


def test_a_symbol_that_the_workers_end_cut_off_does_not_have_the_reason_of_another() -> None:
    reasons = ("A: ValueError: no", STOPPED)
    event = failed(("A", "B"), reasons)
    assert {name: item.reason for name, item in standings([event]).items()} == {
        "A": "ValueError: no",
        "B": STOPPED,
    }


def test_a_symbol_whose_name_begins_as_anothers_has_its_own_reason() -> None:
    reasons = ("A.B: boom", "A: crash")
    found = standings([failed(("A", "A.B"), reasons)])
    assert (found["A"].reason, found["A.B"].reason) == ("crash", "boom")
