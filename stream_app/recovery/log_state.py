"""What is known of a partition's bars, as a file can hold it."""

from __future__ import annotations

import msgspec


class LogState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `BarLog` has it once all bars that were made before its commit are given."""

    newest_offset: int
    floor: int
    other_topic_id: str
    named: tuple[bool, ...]
    counts: tuple[int, ...]
    newest: dict[str, bytes]
    """By symbol, the newest bar as it was read."""
    given_ts: dict[str, int]
    covered: dict[str, int]
    came: dict[str, int]
    """By symbol that came from another partition, before which offset."""
    left_out: dict[int, int]
    left_out_ts: dict[str, int]
    left_out_at: dict[str, int]
