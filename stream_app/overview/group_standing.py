"""Where the group of workers stands in the ticks topic: partitions, who reads them, lag. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stream_app.kafka.group import GroupMember
from stream_app.kafka.place import Place

KEPT_LOOKS: Final = 300
"""Ten minutes of looks, two seconds apart."""
KEPT_MS: Final = 600_000
LATELY_MS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the broker said of the group at one moment."""

    at_ms: int
    """Wall clock, epoch milliseconds."""
    waiting: int
    """Records that no worker has answered, over all partitions."""
    written: int
    """Records that were ever written, over all partitions."""


class GroupStanding:
    """The newest look, and how many records waited at the looks before."""

    def __init__(self) -> None:
        self.places: Mapping[int, Place] = {}
        self.members: Sequence[GroupMember] | None = None
        """None if the broker does not report them, as during a rebalance."""
        self.looks: deque[Look] = deque(maxlen=KEPT_LOOKS)

    def take(
        self, places: Mapping[int, Place], members: Sequence[GroupMember] | None, *, at_ms: int
    ) -> None:
        """Note a look."""
        self.places, self.members = places, members
        while self.looks and at_ms - self.looks[0].at_ms > KEPT_MS:
            self.looks.popleft()
        self.looks.append(
            Look(
                at_ms=at_ms,
                waiting=sum(place.waiting for place in places.values()),
                written=sum(place.end for place in places.values()),
            )
        )

    @property
    def waiting(self) -> int | None:
        """Records that wait; None before the first look."""
        return self.looks[-1].waiting if self.looks else None

    @property
    def is_followed(self) -> bool:
        """Whether there was a look shortly before the newest one: none was in an outage."""
        return len(self.looks) > 1 and self.looks[-1].at_ms - self.looks[-2].at_ms <= LATELY_MS

    def per_second(self) -> float | None:
        """Records written a second, lately; None where that is not known yet."""
        if not self.is_followed:
            return None
        last = self.looks[-1]
        first = next(look for look in self.looks if last.at_ms - look.at_ms <= LATELY_MS)
        taken_ms = last.at_ms - first.at_ms
        return None if taken_ms <= 0 else max(0, last.written - first.written) * 1000 / taken_ms

    def unread(self) -> list[int] | None:
        """The partitions that no worker has; None if the broker does not report them."""
        if self.members is None or any(item.partitions is None for item in self.members):
            return None
        owned = {number for item in self.members for number in item.partitions or ()}
        return sorted(self.places.keys() - owned)

    def problems(self) -> list[str]:
        """Why commits cannot be believed, a line each."""
        return [place.problem for place in self.places.values() if place.problem is not None]

    def table(self) -> dict[str, Any]:
        """Fit for JSON: partitions, workers, and the lag of the last minutes."""
        owner = {
            number: item.name for item in self.members or () for number in item.partitions or ()
        }
        return {
            "partitions": [
                {
                    "partition": place.partition,
                    "first": place.first,
                    "end": place.end,
                    "committed": place.committed,
                    "waiting": place.waiting,
                    "worker": owner.get(place.partition),
                    "problem": place.problem,
                }
                for place in self.places.values()
            ],
            "workers": None
            if self.members is None
            else [
                {"name": item.name, "host": item.host, "partitions": item.partitions}
                for item in self.members
            ],
            "lag": {
                "at_ms": [look.at_ms for look in self.looks],
                "waiting": [look.waiting for look in self.looks],
            },
        }
