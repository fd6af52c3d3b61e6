"""Times and durations as they are given on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from stream_app.messages.times import EARLIEST_TS, LATEST_TS

_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class TimeType(click.ParamType):
    """ISO 8601, UTC where it names no zone; becomes epoch milliseconds."""

    name = "ISO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As click asks for it."""
        if isinstance(value, int):
            return value
        try:
            given = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time such as 2022-01-01T00:00Z", param, ctx)
        if given.tzinfo is None:
            given = given.replace(tzinfo=UTC)
        ts = round(given.timestamp() * 1000)
        if not EARLIEST_TS <= ts <= LATEST_TS:
            self.fail(f"{value!r} is outside 2000 to 2100", param, ctx)
        return ts


class DurationType(click.ParamType):
    """Whole minutes, hours or days, such as 30m; becomes milliseconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As click asks for it."""
        if isinstance(value, int):
            return value
        given = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
        if given is None:
            self.fail(f"{value!r} is no duration; give one such as 30m, 1h or 1d", param, ctx)
        return int(given[1]) * _UNIT_MS[given[2]]
