"""What an operator should know; the core returns it, the worker logs it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stream_app.prediction.observation import LATE, Observation

NoticeKind = Literal["late", "ahead", "jump"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something odd about the ticks of one symbol."""

    symbol: str
    kind: NoticeKind
    count: int
    """How many ticks it concerns."""
    detail: str
    """One clause: what was seen and what was done."""


def notices_of(symbol: str, odd: Sequence[Observation]) -> list[Notice]:
    """One of each kind, of the first tick that it concerns."""
    notices = []
    late = [item for item in odd if item.left_out is LATE]
    if late:
        detail = "a tick came later than GRACE_SECONDS behind the newest and entered no bar"
        notices.append(Notice(symbol=symbol, kind="late", count=len(late), detail=detail))
    if ahead := sum(item.dropped_ahead for item in odd):
        detail = "a tick's time ran ahead of the ticks after it, and the tick was left out"
        notices.append(Notice(symbol=symbol, kind="ahead", count=ahead, detail=detail))
    if jumps := [item for item in odd if item.jump]:
        detail = (
            f"a price of {jumps[0].tick.price:g} is {math.exp(jumps[0].jump):.3g} times the "
            "expected one: a jump, from which no model learns"
        )
        notices.append(Notice(symbol=symbol, kind="jump", count=len(jumps), detail=detail))
    return notices
