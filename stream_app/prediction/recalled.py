"""What a symbol's pipeline has made of its closed bars: all that `SymbolPipeline.recall` builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.closed_bars import ClosedArrays
from stream_app.messages.schemas import Bar
from stream_app.prediction.outcomes import ClosedForecasts


class RecalledRecord(NamedTuple):
    """The part of a track record that follows from the closed bars."""

    scored_ts: NDArray[np.int64]
    """Opening times of the bars whose forecasts have an outcome, shape (N,)."""
    scored: NDArray[np.float32]
    """What is remembered of each (`running.py`), shape (M, N)."""
    waiting: Sequence[ClosedForecasts]
    """The bars whose horizon is still to come."""
    errors: Sequence[float]
    """The newest errors of the ensemble, for the bias."""


class Recalled(NamedTuple):
    """Of one symbol, before `SymbolPipeline.resume`."""

    closed: ClosedArrays
    record: RecalledRecord
    last_bar: Bar | None
    """The last closed one, without its state."""
