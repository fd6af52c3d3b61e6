from __future__ import annotations

from stream_app.dead_letters.letter import CUT_BYTES, CUT_KEY_BYTES, KEPT_BYTES, letter_of
from stream_app.messages.records import DeadLetter
from stream_app.messages.schemas import Rejection
from tests.builders import FakeRecord

REJECTION = Rejection(reason="not_json", detail="")


def letter(
    value: bytes, key: bytes | None = None, **more: object
) -> tuple[object, dict[str, bytes]]:
    record = FakeRecord(offset=7, value=value, key=key, **more)  # type: ignore[arg-type]
    made = letter_of(DeadLetter(record=record, rejection=REJECTION))
    return made, dict(made.headers)


def test_the_original_bytes_go_with_headers_that_say_where_they_were() -> None:
    made, headers = letter(b"{", b"A")
    assert (made.key, made.value) == (b"A", b"{")  # type: ignore[attr-defined]
    assert headers["reason"] == b"not_json"
    assert headers["offset"] == b"7"
    assert headers["partition"] == b"0"
    assert "cut" not in headers


def test_what_fits_no_batch_is_cut_and_says_so() -> None:
    made, headers = letter(b"x" * KEPT_BYTES, b"k" * 5000)
    assert len(made.value) == CUT_BYTES  # type: ignore[attr-defined]
    assert len(made.key) == CUT_KEY_BYTES  # type: ignore[attr-defined]
    assert headers["cut"] == f"{KEPT_BYTES + 5000} bytes of key and value".encode()


def test_a_letter_that_was_replayed_and_is_refused_again_says_so() -> None:
    given = (("replayed_from", b"dlq-1-7"), ("other", b"x"))
    _, headers = letter(b"{", headers=given)
    assert headers["replayed_from"] == b"dlq-1-7"
    assert "other" not in headers
    assert "replayed_from" not in letter(b"{")[1]
