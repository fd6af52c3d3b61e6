"""What the bars before a bar say about it, beside plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.bars.contexts import contexts
from stream_app.bars.features import (
    CONTEXT,
    LOOKBACK,
    MEAN_SPANS,
    RANGE_SPANS,
    RETURN_SPANS,
    VOLATILITY_SPANS,
)


@pytest.mark.parametrize("count", [LOOKBACK, LOOKBACK + 1, 130])
def test_each_row_is_what_its_own_bars_say(count: int) -> None:
    rng = np.random.default_rng(count)
    close = 10 + np.cumsum(rng.normal(0, 1e-3, count))
    high, low = close + rng.exponential(1e-3, count), close - rng.exponential(1e-3, count)
    found = contexts(close, high, low)
    assert found.shape == (count - LOOKBACK + 1, CONTEXT)
    for row, end in zip(found, range(LOOKBACK, count + 1), strict=True):
        before = close[:end]
        steps = np.diff(before)
        wanted = [
            *(before[-span] for span in RETURN_SPANS),
            *(steps[-span + 1 :].sum() for span in VOLATILITY_SPANS),
            *(np.square(steps[-span + 1 :]).sum() for span in VOLATILITY_SPANS),
            *((before[-span + 1 :] - before[-1]).sum() for span in MEAN_SPANS),
            *(high[:end][-span + 1 :].max() for span in RANGE_SPANS),
            *(low[:end][-span + 1 :].min() for span in RANGE_SPANS),
        ]
        assert row.tolist() == wanted  # with numpy's rounding too: it sums in the same order
