"""Files that would be read without a bad row, but wrongly: rejected by their content."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from stream_app.clock import DAY_MS
from stream_app.errors import SourceError
from stream_app.feed.instruments import mixed
from stream_app.feed.numbers import refuse_jumps
from stream_app.feed.part import Part
from stream_app.feed.times import ASSUMED
from stream_app.feed.zones import may_be_twice

_FEW_ROWS: Final = 3


def refuse_midnights(part: Part) -> None:
    """A column of dates alone puts all of a day's ticks on its midnight.

    Raises:
        SourceError: it does here.
    """
    local = part.local_ms[part.bad.good]
    if part.kind == "bars" or (local % DAY_MS).any():
        return
    days = pd.DataFrame({"day": local, "code": part.code[part.bad.good]}).drop_duplicates()
    if len(local) < max(_FEW_ROWS, 2 * len(days)):
        return
    raise SourceError(
        f"{part.path}: all {len(local):,} rows lie on {len(days):,} midnights; looked for "
        f"the time of day in {part.columns['time']}; if another column has it, join both with "
        f"--column time={part.columns['time']}+NAME"
    )


def of_repeated(part: Part, files: int) -> Callable[[int], str]:
    """What can be done about a second bar at a time.

    Args:
        part: the file that has it.
        files: how many are read.
    """

    def remedy(row: int) -> str:
        local = datetime.fromtimestamp(part.ts[row] / 1000, UTC)
        if part.time_zone == ASSUMED and may_be_twice(local):
            return "give the zone whose summer time ends there with --time-zone"
        if files == 1:
            return "name the symbols' column with --column symbol=NAME"
        return "leave out what two of the files have"

    return remedy


def refuse_points(part: Part) -> None:
    """A point may be one of thousands, where no number tells.

    Raises:
        SourceError: the prices say that it could be.
    """
    rows = np.flatnonzero(part.bad.good)
    rows = rows[np.argsort(part.code[rows], kind="stable")]
    for mine in np.split(rows, np.flatnonzero(np.diff(part.code[rows])) + 1):
        for role, (column, values) in sorted(part.with_points.items()):
            refuse_jumps(part.path, role, column, values, mine)


def refuse_instruments(part: Part) -> None:
    """A column of text, or of codes, that has no role may tell instruments apart.

    Raises:
        SourceError: it does, and no symbol was given. Where one was, or where the prices do not
            tell, the part gets a notice.
    """
    for name, column in part.texts.items():
        found = mixed(column, part.ts, part.price[:, -1], part.bad.good)
        if found is None or (name in part.codes and not found.is_sure):
            continue
        shown = ", ".join(repr(value)[:40] for value in found.values[:3])
        more = ", ..." if len(found.values) > 3 else ""
        told = (
            f"{part.path}: column {name!r} has {len(found.values):,} values ({shown}{more}) "
            f"and is not used, so all rows are taken for {part.symbols[0]}"
        )
        remedy = f"if it tells symbols apart, give --column symbol={name}"
        if found.is_sure and part.symbol_from != "--symbol":
            raise SourceError(
                f"{told}, but their prices lie apart; looked for rows of one symbol; {remedy}, "
                "if not, --symbol NAME"
            )
        part.notices = (*part.notices, f"warning: {told}; {remedy}")
