"""The ticks that a symbol has had last: which would be duplicates, and what rhythm they have."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from stream_app.messages.arrivals import TickKey

REMEMBERED_TICKS: Final = 1024
"""How many ticks within the grace are remembered to recognise duplicates."""
REMEMBERED_STEPS: Final = 16
"""From how many of the last steps forward in time the next one is estimated."""
RHYTHM_MULTIPLE: Final = 2
"""A step of twice the usual is nothing special: at random times one in a thousand is longer."""
LIVE_MS: Final = 60_000
"""A tick that is appended within a minute of its time is live: the log's time is the measure of
how far its own may be. An older one is replayed or delayed."""
_WAITING: Final = 32
"""So many ticks in order of time are only noted; they are sorted in when somebody asks. Most are
behind the watermark by then, and cost nothing."""


class RecentTicks:
    """Ticks in the order in which they entered."""

    __slots__ = (
        "_appended",
        "_grace_ms",
        "_known",
        "_order",
        "_sorted_ts",
        "_steps",
        "_waiting",
        "newest_ts",
    )

    def __init__(self, grace_ms: int) -> None:
        self._grace_ms = grace_ms
        self.newest_ts = -1
        """The newest event time, epoch ms; -1 before the first tick."""
        self._known: dict[TickKey, None] = {}
        self._order: deque[TickKey] = deque()
        self._steps: deque[tuple[int, int | None]] = deque(maxlen=REMEMBERED_STEPS)
        """The last steps forward in time: by how much [ms], 0 for the first tick; and the tick's
        time less its record's, None where there is no log."""
        self._waiting: list[TickKey] = []
        """Ticks in order of time, none before those in `_order`, that are not sorted in yet."""
        self._appended: list[int | None] = []
        """When their records were appended."""
        self._sorted_ts = -1
        """The newest event time before them."""

    def add(self, key: TickKey, appended_ms: int | None) -> None:
        """Remember any tick.

        Args:
            key: of a tick that is neither late nor a duplicate.
            appended_ms: when its record was appended; None where there is no log.
        """
        self._sort_in()
        ts = key[0]
        if ts > self.newest_ts:
            self._steps.append(_step(ts, self.newest_ts, appended_ms))
            self.newest_ts = self._sorted_ts = ts
        self._known[key] = None
        self._order.append(key)
        self._forget()

    def go_on(self, keys: Sequence[TickKey], appended_ms: Sequence[int | None]) -> None:
        """Remember ticks in order of time, none before the newest, none a duplicate.

        Args:
            keys: at least one.
            appended_ms: as of `add`, of each.
        """
        self._waiting += keys
        self._appended += appended_ms
        self.newest_ts = keys[-1][0]
        if len(self._waiting) > _WAITING:
            self._sort_in()

    def knows(self, key: TickKey) -> bool:
        """Whether the same tick was remembered within the grace."""
        self._sort_in()
        return key in self._known

    def found_in(self, keys: Sequence[TickKey]) -> list[int]:
        """Places of keys that may be those of duplicates, in order.

        Args:
            keys: of the next ticks, at least one. Those that are older than what came before them
                may be left out: `knows` says it of them.
        """
        is_new = keys[0][0] > self.newest_ts  # and so are all that are in order of time
        if len(keys) == 1:
            return [0] if not is_new and self.knows(keys[0]) else []
        if len(set(keys)) == len(keys) and (is_new or self._knows_none(keys)):
            return []  # as nearly always
        self._sort_in()
        found, known = [], set(self._known)
        for at, key in enumerate(keys):
            if key in known:
                found.append(at)
            known.add(key)
        return found

    def _knows_none(self, keys: Sequence[TickKey]) -> bool:
        self._sort_in()
        return self._known.keys().isdisjoint(keys)

    def expects(self, ts: int, appended_ms: int | None) -> bool:
        """Whether a tick may have this time, or its clock may run ahead.

        A step forward is expected when it is within the grace; when the log has gone forward with
        it, that is, the tick is not further ahead of its record than the last ones were, by more
        than the grace; or, unless it is live, when the symbol often makes steps so large.

        Args:
            ts: event time, epoch ms.
            appended_ms: when its record was appended; None where there is no log.
        """
        step = ts - self.newest_ts
        if step <= self._grace_ms or self.newest_ts < 0:
            return True
        self._sort_in()
        if appended_ms is not None:
            leads = [lead for _, lead in self._steps if lead is not None]
            if leads and ts - appended_ms <= max(leads) + self._grace_ms:
                return True
            if appended_ms - ts <= LIVE_MS and leads:
                return False
        # The second largest: one night among the steps is not the rhythm.
        usual = sorted(length for length, _ in self._steps if length)
        return len(usual) < 2 or step <= RHYTHM_MULTIPLE * usual[-2]

    def _sort_in(self) -> None:
        """Take over the ticks that wait."""
        waiting, appended = self._waiting, self._appended
        if not waiting:
            return
        steps: list[tuple[int, int | None]] = []
        for at in range(len(waiting) - 1, -1, -1):
            ts, before = waiting[at][0], waiting[at - 1][0] if at else self._sorted_ts
            if ts > before:
                steps.append(_step(ts, before, appended[at]))
                if len(steps) == REMEMBERED_STEPS:
                    break
        self._steps.extend(reversed(steps))
        behind = bisect_left(waiting, self.newest_ts - self._grace_ms, key=itemgetter(0))
        if behind:  # what was before them is no newer
            self._order.clear()
            self._known.clear()
        self._order.extend(waiting[behind:])
        self._known.update(dict.fromkeys(waiting[behind:]))
        self._sorted_ts = self.newest_ts
        self._waiting, self._appended = [], []
        self._forget()

    def _forget(self) -> None:
        """Ticks behind the watermark, and those beyond the number that is remembered."""
        order, known = self._order, self._known
        watermark = self.newest_ts - self._grace_ms
        while order and (order[0][0] < watermark or len(order) > REMEMBERED_TICKS):
            known.pop(order.popleft(), None)

    def fork(self) -> RecentTicks:
        """A copy for ticks from beyond the grace: no earlier tick can be seen again."""
        self._sort_in()
        twin = RecentTicks(self._grace_ms)
        twin.newest_ts = twin._sorted_ts = self.newest_ts
        twin._steps.extend(self._steps)
        return twin

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        self._sort_in()
        return {
            "newest_ts": self.newest_ts,
            "seen": [list(key) for key in self._order],
            "steps": [list(step) for step in self._steps],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`."""
        self.newest_ts = self._sorted_ts = state["newest_ts"]
        # A state that was written before ticks had an id has four values a key.
        self._order = deque((*key, None)[:5] for key in state["seen"])
        self._known = dict.fromkeys(self._order)
        # States that were written before there were steps have none.
        self._steps = deque(map(tuple, state.get("steps", ())), maxlen=REMEMBERED_STEPS)
        self._waiting, self._appended = [], []


def _step(ts: int, before: int, appended_ms: int | None) -> tuple[int, int | None]:
    """One step forward in time, as `RecentTicks` keeps it."""
    lead = None if appended_ms is None else ts - appended_ms
    return ts - before if before >= 0 else 0, lead
