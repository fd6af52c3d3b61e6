"""What Faust has for tables, of which this worker has none."""

from __future__ import annotations

from faust.tables import TableManager
from mode.utils.times import Seconds


class NoTables(TableManager):
    """Faust's, but for the second that each start of a worker would take."""

    async def sleep(self, n: Seconds) -> None:
        """Return at once. Faust waits here once, for tables to be declared."""
