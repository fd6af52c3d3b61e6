"""Where a group stands in a partition, and why that cannot be believed. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RESET: Final = "stop all workers of the group and run `stream-app group reset` (docs/accidents.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a group stands in one partition of a topic, as the broker says."""

    topic: str
    group: str
    partition: int
    topic_id: str
    """Of the topic that has the name now; empty where the broker does not tell."""
    first: int
    """The log begins at this offset."""
    end: int
    """The offset after the last record, or after a transaction's marker behind it
    (`GroupView.without_markers`)."""
    committed: int | None
    committed_topic_id: str
    """Of the topic that the commit was made in; empty where nobody noted it."""

    @property
    def start(self) -> int:
        """The offset of the first record that the group has not answered."""
        return max(self.first, self.committed or 0)

    @property
    def waiting(self) -> int:
        """Records that the group has not answered."""
        return max(0, self.end - self.start)

    @property
    def problem(self) -> str | None:
        """Why the commit cannot be believed, in one line; None where it can."""
        if self.committed is None:
            return None
        if self.topic_id and self.committed_topic_id not in ("", self.topic_id):
            return made_anew(self.topic, self.committed_topic_id, self.topic_id)
        if self.committed > self.end:
            return (
                f"{self.topic} partition {self.partition}: the group {self.group} has committed "
                f"offset {self.committed}, but the log ends at {self.end}: the topic was "
                f"recreated, or the broker has lost records; {RESET}"
            )
        return None


def made_anew(topic: str, was: str, now: str) -> str:
    """The line for a topic that was deleted and created again."""
    return (
        f"{topic}: it was recreated (its id was {was} and is {now}), so what was answered belongs "
        f"to another topic; {RESET}"
    )
