"""Bars of one symbol in little memory, until it is known whether they are needed."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from stream_app.messages.read_bars import ReadBar

BLOCK: Final = 64
"""Bars that are packed together."""
_LEVEL: Final = 1
"""The fastest; a month of bars takes about 1.3 MB."""


_DECODER: Final = msgspec.msgpack.Decoder(list[ReadBar])


class KeptBars:
    """The newest bars, oldest first."""

    def __init__(self, most: int) -> None:
        """Have none yet.

        Args:
            most: how many are kept at least; older ones are dropped.
        """
        self._most = most
        self._blocks: deque[tuple[int, bytes]] = deque()
        self._count = 0

    def add(self, bars: Sequence[ReadBar]) -> None:
        """Keep bars that follow."""
        for first in range(0, len(bars), BLOCK):
            block = bars[first : first + BLOCK]
            packed = msgspec.msgpack.encode(block)
            self._blocks.append((len(block), zlib.compress(packed, _LEVEL)))
            self._count += len(block)
        while self._blocks and self._count - self._blocks[0][0] >= self._most:
            self._count -= self._blocks.popleft()[0]

    def blocks(self) -> Iterator[list[ReadBar]]:
        """All that are kept, a few at a time."""
        for _, packed in self._blocks:
            yield _DECODER.decode(zlib.decompress(packed))
