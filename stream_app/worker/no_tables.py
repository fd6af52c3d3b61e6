"""What Faust has for tables, of which this worker has none."""

from __future__ import annotations

import logging

from faust.tables import TableManager
from mode.utils.times import Seconds


class NoTables(TableManager):
    """Faust's, but for the second that each start of a worker would take."""

    logger = logging.getLogger("faust")  # for what Faust logs of each service

    async def sleep(self, n: Seconds) -> None:
        """Return at once. Faust waits here once, for tables to be declared."""
