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
    newest: dict[str, tuple[int, bytes]]
    """By symbol, where the newest bar was read, and its message."""
    given_ts: dict[str, int]
    covered: dict[str, int]
    came: dict[str, int]
    """By symbol that came from another partition, before which offset."""
    left_out: dict[int, int]
    left_out_ts: dict[str, int]
    left_out_at: dict[str, int]

    def since(self, first: int) -> LogState:
        """Without the symbols of which retention has removed all bars.

        Args:
            first: the offset of the first bar that is left.
        """
        gone = {symbol for symbol, (at, _) in self.newest.items() if at < first}
        by_symbol = ("newest", "given_ts", "covered", "came", "left_out_ts", "left_out_at")
        kept = {
            name: {
                symbol: each for symbol, each in getattr(self, name).items() if symbol not in gone
            }
            for name in by_symbol
        }
        return msgspec.structs.replace(self, **kept)
