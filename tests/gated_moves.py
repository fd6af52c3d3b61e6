"""A worker whose symbols move to other partitions only once a file is there."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

from stream_app.cli import main
from stream_app.moving.moves import Moves

GATE: Final = "TEST_MOVES_GATE"
"""Names the variable that names the file."""

if __name__ == "__main__":
    move = Moves._move

    async def gated(self: Moves, *of: Any) -> Any:
        while not Path(os.environ[GATE]).exists():
            await asyncio.sleep(0.05)
        return await move(self, *of)

    Moves._move = gated  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
