"""Which partition a symbol belongs to, and whether a state of it is its own."""

from __future__ import annotations

from stream_app.bars.window import Window
from stream_app.messages.symbols import state_name
from stream_app.models.model_set import ModelSet


class Residence:
    """Of one symbol's state in one partition."""

    def __init__(self, symbol: str, elsewhere: int | None, window: Window) -> None:
        """Come to a partition.

        Args:
            symbol: whose state it is.
            elsewhere: the partition, where that is not the one that the symbol has as a key.
            window: the symbol's there.
        """
        self._symbol = symbol
        self._window = window
        self.name = state_name(symbol, elsewhere)
        """Of the state: another partition may have one of the same symbol."""
        self.home = 0
        """How many partitions the topic had when this was last known to be the symbol's own state,
        with all of its history; 0 for never."""
        self._left_to_ts = 0
        """Event time of the newest tick when the symbol belonged here no more, epoch ms."""

    def is_known_with(self, partitions: int) -> bool:
        """Whether where the symbol belongs is settled, with so many partitions."""
        return self.home == partitions or not (self.home or self.is_home)

    @property
    def is_home(self) -> bool:
        """Whether the partition is that of the symbol as a key."""
        return self.name == self._symbol

    def place(self, elsewhere: int | None) -> None:
        """Partitions were added: the symbol may belong to another one now. See `__init__`."""
        self.name = state_name(self._symbol, elsewhere)
        self.note_left()

    def resume(self, home: int | None, partitions: int) -> None:
        """Take over what a restored state says of it.

        Args:
            home: as the state says; None where it is of a version that did not.
            partitions: how many there are.
        """
        if home is not None:
            self.home = home
        elif self.is_home:
            self.home = partitions
        self.note_left()

    def note_left(self) -> None:
        """A state that its symbol has left: what it has by now, the bar begun too, is no news."""
        if self.home and not self.is_home and len(self._window):
            self._left_to_ts = self._window.main.newest_ts

    def has_news(self, models: ModelSet) -> bool:
        """Whether a training now would learn from more than the last one.

        A state that its symbol has left, as after partitions were added, has none until a bar that
        began after that closes there. For symbols in their place silence is left to the schedule.
        """
        learned_ts = models.trained_to_ts if models.is_trained else 0
        known_ts = max(self._left_to_ts, learned_ts)
        if self.is_home or not known_ts:
            return True
        return int(self._window.columns(1).ts_last[0]) > known_ts
