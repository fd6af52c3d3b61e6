"""The table of symbols in a terminal: sorted, filtered, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable

from stream_app.overview.symbol_table import Sort, TablePage
from stream_app.terminal.cycles import duration
from stream_app.terminal.letters import printable
from stream_app.terminal.numbers import significant
from stream_app.top.cells import PRICE_DIGITS, SIGNS, STYLES

COLUMNS: Final[Mapping[Sort, str]] = {
    "symbol": "Symbol",
    "state": "State",
    "price": "Price",
    "move": "Move bp",
    "skill": "Skill %",
    "width": "Width bp",
    "answered": "Answered",
}
_ORDER: Final = tuple(COLUMNS)
_LONGEST_NAME: Final = 16
_LONGEST_STATE: Final = 23
"""Characters. With both, the skill is in sight at 80 columns; other parts have them in full."""


class Symbols(DataTable[Text]):
    """A page of rows. The row under the cursor is the symbol that the rest of the screen shows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("x", "problems", "Problems"),
        Binding("pagedown", "page(1)", "Next page", show=False),
        Binding("pageup", "page(-1)", "Previous page", show=False),
    ]

    class Asked(Message):
        """Another page of the table, or another order of it, is wanted."""

    class Chosen(Message):
        """The cursor is on another symbol."""

    def __init__(self, part: str) -> None:
        super().__init__(id=part, classes="box", cursor_type="row", zebra_stripes=True)
        self.page = TablePage()
        self.chosen = ""
        """Empty while there are none."""

    def on_mount(self) -> None:
        """Make the columns."""
        for key, title in COLUMNS.items():
            self.add_column(title, key=key)

    def show(self, found: Mapping[str, Any], now_ms: int) -> None:
        """Show a page, as `SymbolTable.page` gives it. The cursor stays on its symbol."""
        self.page = replace(self.page, number=found["page"])
        names = [row["symbol"] for row in found["rows"]]
        if names == [key.value for key in self.rows]:
            for at, row in enumerate(found["rows"]):
                for column, cell in enumerate(_cells(row, now_ms)):
                    place = Coordinate(at, column)
                    if self.get_cell_at(place) != cell:
                        self.update_cell_at(place, cell, update_width=True)
        else:
            self.clear()
            for row in found["rows"]:
                self.add_row(*_cells(row, now_ms), key=row["symbol"])
            if self.chosen in names:
                self.move_cursor(row=names.index(self.chosen))
            else:
                self._choose(names[0] if names else "")
        self.border_subtitle = Text(_told(found, self.page))  # a str would be markup

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor has moved, or the rows under it are others."""
        at = self.cursor_row
        keys = [key.value or "" for key in self.rows]
        if event.row_key in self.rows and at < len(keys):
            self._choose(keys[at])

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a title sorts by it, a second one turns the order."""
        wanted = _ORDER[event.column_index]
        turned = wanted == self.page.sort and not self.page.descending
        self._ask(replace(self.page, sort=wanted, descending=turned, number=0))

    def action_sort(self) -> None:
        """Sort by the next column."""
        after = _ORDER[(_ORDER.index(self.page.sort) + 1) % len(_ORDER)]
        self._ask(replace(self.page, sort=after, number=0))

    def action_reverse(self) -> None:
        """Turn the order."""
        self._ask(replace(self.page, descending=not self.page.descending, number=0))

    def action_problems(self) -> None:
        """Show only symbols with problems, or all again."""
        self._ask(replace(self.page, only_problems=not self.page.only_problems, number=0))

    def action_page(self, step: int) -> None:
        """Show another page."""
        self._ask(replace(self.page, number=max(0, self.page.number + step)))

    def filter(self, contains: str) -> None:
        """Show only symbols with this text in their name."""
        self._ask(replace(self.page, contains=contains, number=0))

    def _ask(self, page: TablePage) -> None:
        self.page = page
        self.post_message(self.Asked())

    def _choose(self, symbol: str) -> None:
        if symbol != self.chosen:
            self.chosen = symbol
            self.post_message(self.Chosen())


def _told(found: Mapping[str, Any], page: TablePage) -> str:
    """Which page this is."""
    parts: Sequence[str] = (
        f"by {page.sort} {'↓' if page.descending else '↑'}",
        f"with {page.contains}" if page.contains else "",
        "problems only" if page.only_problems else "",
        f"{found['matches']:,} of {found['symbols']:,}",
        f"page {found['page'] + 1} of {found['pages']}" if found["pages"] > 1 else "",
    )
    return " · ".join(part for part in parts if part)


def _cells(row: Mapping[str, Any], now_ms: int) -> list[Text]:
    price, skill, answered = row["price"], row["skill"], row["answered_ms"]
    level = row["level"]
    return [
        _cut(Text(row["symbol"], "bold"), _LONGEST_NAME),
        _cut(Text(f"{SIGNS[level]} {printable(row['state'])}", STYLES[level]), _LONGEST_STATE),
        _number("" if price is None else significant(price, PRICE_DIGITS)),
        _number("" if row["move_bp"] is None else f"{row['move_bp']:+.2f}"),
        _number("" if skill is None else f"{100 * skill:+.2f}"),
        _number("" if row["width_bp"] is None else f"{row['width_bp']:.1f}"),
        _number("" if answered is None else duration(max(0, now_ms - answered) / 1000)),
    ]


def _cut(text: Text, longest: int) -> Text:
    text.truncate(longest, overflow="ellipsis")
    return text


def _number(text: str) -> Text:
    return Text(text, justify="right")
