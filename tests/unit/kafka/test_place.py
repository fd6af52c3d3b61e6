from __future__ import annotations

from typing import Any

import pytest

from stream_app.kafka.place import Place


def place(**changes: Any) -> Place:
    given: dict[str, Any] = {
        "topic": "market.ticks.v1",
        "group": "stream-app",
        "partition": 3,
        "topic_id": "NEW",
        "first": 0,
        "end": 100,
        "committed": 60,
        "committed_topic_id": "NEW",
    }
    return Place(**{**given, **changes})


def test_a_commit_inside_the_log_is_where_the_group_goes_on() -> None:
    assert place().problem is None
    assert (place().start, place().waiting) == (60, 40)


def test_without_a_commit_all_of_the_log_waits() -> None:
    assert place(committed=None, committed_topic_id="").problem is None
    assert (place(committed=None).start, place(committed=None).waiting) == (0, 100)


def test_what_retention_has_removed_does_not_wait() -> None:
    assert (place(first=80).start, place(first=80).waiting) == (80, 20)


def test_a_commit_at_the_end_is_no_problem() -> None:
    assert place(committed=100).problem is None


def test_a_commit_beyond_the_end_is_named_with_both_offsets_and_the_remedy() -> None:
    assert place(committed=101).problem == (
        "market.ticks.v1 partition 3: the group stream-app has committed offset 101, but the log "
        "ends at 100: the topic was recreated, or the broker has lost records; stop all workers "
        "of the group and run `stream-app group reset` (docs/accidents.md)"
    )


def test_a_commit_of_another_topic_is_named_though_its_offset_is_in_the_log() -> None:
    problem = place(committed_topic_id="OLD").problem
    assert problem is not None
    assert problem.startswith(
        "market.ticks.v1: it was recreated (its id was OLD and is NEW), so what was answered "
        "belongs to another topic; stop all workers"
    )


@pytest.mark.parametrize(("now", "then"), [("", "OLD"), ("NEW", ""), ("", "")])
def test_an_id_that_nobody_knows_says_nothing(now: str, then: str) -> None:
    assert place(topic_id=now, committed_topic_id=then).problem is None
