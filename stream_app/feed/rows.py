"""Ticks of files as arrays: a month of them takes little memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.messages.schemas import Tick

_CHUNK_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class TickRows:
    """Rows of ticks as arrays of the same length."""

    ts: NDArray[np.int64]
    """Event time, epoch ms."""
    price: NDArray[np.float64]
    size: NDArray[np.float64] | None
    """NaN where a row has none."""
    code: NDArray[np.int64]
    """Position of the row's symbol in the file's symbols."""
    id: NDArray[np.object_] | None = None
    """What tells trades apart that are otherwise equal; None where a row needs nothing."""
    is_settled: NDArray[np.bool_] | None = None
    """Whether a row is the close of the file's bar that it was made from. The others of a bar tell
    by their order how the bar ends. None where the rows are trades."""

    def ticks(self, symbols: Sequence[str]) -> Iterator[Tick]:
        """The rows in their order.

        Args:
            symbols: what `code` counts.
        """
        for start in range(0, len(self.ts), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            sizes: list[float | None] = (
                [None] * len(self.ts[chunk])
                if self.size is None
                else [None if size != size else size for size in self.size[chunk].tolist()]  # noqa: PLR0124 - NaN
            )
            for code, price, ts, size, id_ in zip(
                self.code[chunk].tolist(),
                self.price[chunk].tolist(),
                self.ts[chunk].tolist(),
                sizes,
                itertools.repeat(None) if self.id is None else self.id[chunk].tolist(),
                strict=False,
            ):
                yield Tick(symbol=symbols[code], price=price, ts=ts, size=size, id=id_)
