"""What an operator should hear of; the core says it, the worker logs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
