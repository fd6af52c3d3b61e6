"""A worker that copies its windows to its disk again and again."""

from __future__ import annotations

import sys
from typing import Any

from stream_app.cli import main
from stream_app.recovery import keeper

if __name__ == "__main__":
    eager: Any = keeper
    eager.LOOK_EVERY_S, eager.LEAST_BARS, eager.SHARE = 0.1, 10, 1000
    main(sys.argv[1:])
