"""How wide tables may be: as wide as the terminal, and without a terminal as wide as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WITHOUT_TERMINAL: Final = 100_000
"""Columns where there is no terminal: a line a row, however long, so that nothing is cut."""
_LONG_MIN: Final = 40
"""A long text needs so many columns, to be whole words on a few lines."""
_WIDE, _TIGHT = 2, 1
"""Columns between two cells."""


def table_console(without_terminal: int = WITHOUT_TERMINAL) -> Console:
    """The console of standard output, for tables.

    Args:
        without_terminal: its columns where there is no terminal.
    """
    console = Console()
    return console if console.is_terminal else Console(width=without_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet."""

    name: str
    is_number: bool = False
    is_long: bool = False
    """A text of any length: it is folded at spaces, and has its own lines below a stacked row."""
    is_head: bool = False
    """It begins a stacked row, without its name."""


class Sheet:
    """Rows that stand in a table where that fits, tighter where that helps, else stacked.

    A stacked row is a line of what it begins with, then its other cells with their names. Cells
    are plain text, or rich texts of one style.
    """

    def __init__(self, *columns: Column, title: str = "") -> None:
        self._columns = columns
        self._title = title
        self._rows: list[tuple[Sequence[Text], bool]] = []

    def add(self, *cells: str | Text, ends_section: bool = False) -> None:
        """Add a row."""
        texts = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        self._rows.append((texts, ends_section))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what fits."""
        if self._title:
            yield Text(self._title, style="italic")
        if not console.is_terminal:
            yield from self._lines()
            return
        for between in (_WIDE, _TIGHT):
            if self._needs(between) <= options.max_width:
                yield self._table(between)
                return
        for cells, _ in self._rows:
            yield self._stacked(cells)

    def _needs(self, between: int) -> int:
        """The columns of the screen that the table needs at least."""
        needed = between * len(self._columns)
        for number, column in enumerate(self._columns):
            longest = max((cells[number].cell_len for cells, _ in self._rows), default=0)
            needed += max(len(column.name), min(longest, _LONG_MIN) if column.is_long else longest)
        return needed

    def _lines(self) -> Iterator[Text]:
        """A line a row, without blanks at its end."""
        names = [Text(column.name) for column in self._columns]
        rows = [names, *(cells for cells, _ in self._rows)]
        widths = [max(cell.cell_len for cell in cells) for cells in zip(*rows, strict=True)]
        for cells in rows:
            line = Text(no_wrap=True, overflow="ignore")
            for column, cell, width in zip(self._columns, cells, widths, strict=True):
                blanks = " " * (width - cell.cell_len)
                line.append(blanks + cell.plain if column.is_number else cell.plain + blanks)
                line.append(" " * _WIDE)
            line.rstrip()
            yield line

    def _table(self, between: int) -> Table:
        table = Table(box=SIMPLE_HEAD if between == _WIDE else None)
        table.padding = (0, between // 2, 0, between - between // 2)
        for column in self._columns:
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                no_wrap=not column.is_long,
                min_width=len(column.name),
                overflow="fold",
            )
        for cells, ends_section in self._rows:
            table.add_row(*cells, end_section=ends_section)
        return table

    def _stacked(self, cells: Sequence[Text]) -> RenderableType:
        pairs = [pair for pair in zip(self._columns, cells, strict=True) if pair[1].plain]
        head = Text("  ").join(cell for column, cell in pairs if column.is_head)
        short = [
            Text.assemble((f"{column.name} ", "dim"), cell)
            for column, cell in pairs
            if not column.is_head and not column.is_long
        ]
        long = [
            Text.assemble((f"{column.name}: ", "dim"), cell)
            for column, cell in pairs
            if column.is_long
        ]
        below = [Text(", ").join(short)] if short else []
        return Group(head, *(Padding(line, (0, 0, 0, 2)) for line in (*below, *long)))
