"""When a process that answers ticks collects garbage."""

from __future__ import annotations

import gc
from typing import Final

COLLECT_AFTER: Final = 50_000
"""Objects more than there were, when garbage is looked for: above what a full batch and those that
wait behind it hold, none of it garbage. Python's own 700 took a tenth of the time."""


def collect_garbage_rarely() -> None:
    """For a process that answers ticks, once it has started.

    What is there now stays: each full collection would go through it for 40 ms.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
