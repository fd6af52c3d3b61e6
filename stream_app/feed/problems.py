"""The rows of a file that cannot be used: counted by kind, the first of each kept to be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of bad row."""

    kind: str
    """Such as `bad_time`; the keys of `skipped`."""
    row: int
    """The first such row of the file, from 0, as `Table.places` takes it."""
    found: str
    """What is there."""
    wanted: str
    remedy: str
    """What can be done besides fixing or removing the row; may be empty."""
    count: int = 1


class BadRows:
    """The bad rows of one file. A row counts once, for the first kind that is noted of it.

    Args:
        rows: how many the table has.
        data_row: as `Table.data_row`.
    """

    def __init__(self, rows: int, data_row: Callable[[int], int] = lambda row: row) -> None:
        self._data_row = data_row
        self.good = np.ones(rows, dtype=bool)
        """Which rows can still be used, shape (rows,)."""
        self.problems: list[Problem] = []

    def note(
        self,
        kind: str,
        bad: NDArray[np.bool_],
        *,
        found: Callable[[int], str],
        wanted: Callable[[int], str] | str,
        remedy: Callable[[int], str] | str = "",
    ) -> None:
        """Note the rows that are bad in a way.

        Args:
            kind: of problem; several notes of one kind add up.
            bad: which rows have it, shape (rows,).
            found: says what is in a row.
            wanted: what was looked for there.
            remedy: as in `Problem`.
        """
        fresh = bad & self.good
        count = int(fresh.sum())
        if not count:
            return
        self.good &= ~fresh
        row = int(np.argmax(fresh))
        self.add(
            Problem(
                kind=kind,
                row=self._data_row(row),
                found=found(row),
                wanted=wanted if isinstance(wanted, str) else wanted(row),
                remedy=remedy if isinstance(remedy, str) else remedy(row),
                count=count,
            )
        )

    def add(self, problem: Problem) -> None:
        """Note a problem whose rows are not among the table's, such as lines that are no rows."""
        for at, known in enumerate(self.problems):
            if known.kind == problem.kind:
                first = min(known, problem, key=lambda each: each.row)
                self.problems[at] = replace(first, count=known.count + problem.count)
                return
        self.problems.append(problem)

    @property
    def skipped(self) -> dict[str, int]:
        """How many rows have each kind of problem."""
        return {problem.kind: problem.count for problem in self.problems}

    def refusal(self, path: Path, places: Callable[[Sequence[int]], list[str]]) -> SourceError:
        """All kinds in one line, by their first rows.

        Args:
            path: the file.
            places: says where rows stand in it.
        """
        problems = sorted(self.problems, key=lambda problem: problem.row)
        where = places([problem.row for problem in problems])
        total = sum(problem.count for problem in problems)
        remedies = [problems[0].remedy] if len(problems) == 1 else []
        if self.good.any():
            remedies.insert(0, "leave out what is bad with --bad-rows skip")
        else:  # nothing would be left
            remedies = list(dict.fromkeys(problem.remedy for problem in problems))
        remedy = "".join(f", or {each}" for each in remedies if each)
        rows = f"the rows, {total:,} in all" if total > 1 else "the row"
        told = "; ".join(
            f"{place}: {problem.found}{_times(problem.count)}; looked for {problem.wanted}"
            for place, problem in zip(where, problems, strict=True)
        )
        return SourceError(
            f"{path} {told}; {'mend or remove' if self.good.any() else 'mend'} {rows}{remedy}"
        )


def _times(count: int) -> str:
    return f" ({count:,} such rows)" if count > 1 else ""


def told_of(role: str, column: Any, row: int) -> str:
    """What is in a row of a column, in a user's words."""
    value = column[row].as_py()
    return f"{role} {'is missing' if value is None else repr(str(value))[:60]}"
