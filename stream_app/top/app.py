"""`stream-app top`: the read model on a terminal's screen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.css.query import NoMatches
from textual.widgets import Footer, Input, Static

from stream_app.overview import sections
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.sections import View
from stream_app.overview.symbol_table import SymbolTable
from stream_app.top import panels, symbol_panels
from stream_app.top.panel import Panel
from stream_app.top.price import PricePanel
from stream_app.top.symbols import Symbols

REFRESH_S: Final = 1.0
PARTS: Final = (
    "symbols",
    "price",
    "scores",
    "drift",
    "members",
    "retrains",
    "versions",
    "letters",
    "group",
)
"""In the order that operators need, after the state of things; a key each, from 1 on."""


class TopApp(App[None]):
    """Shows a read model, which something else keeps up to date, until it is asked to quit.

    Args:
        model: what is shown.
        bounds: the thresholds of the checks.
        monotonic: the clock, in seconds.
        note: an extra line at the top, such as the demo's; empty for none.
    """

    CSS_PATH = "top.tcss"
    TITLE = "stream-app top"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012 - as textual says it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("v", "view", "Live or bars"),
        *(
            Binding(
                str(number),
                f"part('{part}')",
                "Part",
                key_display=f"1-{len(PARTS)}",
                show=number == 1,
            )
            for number, part in enumerate(PARTS, 1)
        ),
        Binding("escape", "all_symbols", "All symbols", show=False),
    ]

    def __init__(
        self,
        model: ReadModel,
        bounds: Bounds,
        monotonic: Callable[[], float],
        *,
        note: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._bounds = bounds
        self._table = SymbolTable(model, monotonic)
        self._note = note
        self._view: View = "live"
        self._titles: dict[str, str] = {}
        """By part, as it is shown."""

    def compose(self) -> ComposeResult:
        """The state of things stays in sight; the rest is scrolled."""
        if self._note is not None:
            yield Static(id="note", markup=False)
        yield Panel(panels.health, "health")
        with VerticalScroll(id="body", can_focus=False):
            yield Input(placeholder="part of a symbol's name", id="filter", compact=True)
            with Container(classes="pair"):
                yield Symbols("symbols")
                yield PricePanel("price")
            with Container(classes="pair"):
                yield Panel(symbol_panels.scores, "scores")
                yield Panel(symbol_panels.drift, "drift")
            with Container(classes="pair"):
                yield Panel(symbol_panels.members, "members")
                yield Panel(panels.retrains, "retrains")
            with Container(classes="pair"):
                yield Panel(symbol_panels.versions, "versions")
                yield Panel(panels.letters, "letters")
            yield Panel(panels.group, "group")
        yield Footer()

    def on_mount(self) -> None:
        """Draw now, and again and again."""
        self.query_one("#symbols").focus()
        self._draw()
        self.set_interval(REFRESH_S, self._draw_again)

    def on_symbols_asked(self) -> None:
        """Another page of the table."""
        self._draw()

    def on_symbols_chosen(self) -> None:
        """Another symbol."""
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.query_one(Symbols).filter(event.value)

    def on_input_submitted(self) -> None:
        """Back to the table."""
        self.query_one(Symbols).focus()

    def action_filter(self) -> None:
        """Ask for a part of a name."""
        field = self.query_one("#filter", Input)
        field.add_class("asked")
        field.focus()

    def action_all_symbols(self) -> None:
        """Filter no more."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.remove_class("asked")
        self.query_one(Symbols).focus()

    def action_view(self) -> None:
        """Show the newest answers, or the bars."""
        self._view = "day" if self._view == "live" else "live"
        self._draw()

    def action_part(self, name: str) -> None:
        """Go to a part of the screen."""
        self.query_one(f"#{name}").focus()

    def _draw_again(self) -> None:
        with suppress(NoMatches):  # the screen is being taken down
            self._draw()

    def _draw(self) -> None:
        """Show what is known now."""
        model = self._model
        if self._note is not None:
            self.query_one("#note", Static).update(self._note())
        state = sections.health(model, self._bounds)
        now_ms = state.pop("now_ms")  # what changes with nothing else is no reason to draw
        self.query_one("#health", Panel).show(state)
        symbols = self.query_one(Symbols)
        symbols.show(self._table.page(symbols.page), now_ms)
        name = symbols.chosen
        answer, about = sections.answer(model, name), sections.about(model, name)
        self.query_one(PricePanel).show(answer, sections.history(model, name, self._view))
        inputs = state["inputs"]
        for part, value in (
            ("scores", (about, inputs["scores"])),
            ("drift", (about, inputs["drift"])),
            ("members", answer),
            ("retrains", sections.retrains(model, self._bounds)),
            ("versions", about),
            ("letters", sections.letters(model)),
            ("group", sections.group(model)),
        ):
            self.query_one(f"#{part}", Panel).show(value)
        self._name_parts(name)

    def _name_parts(self, symbol: str) -> None:
        named = {
            "symbols": "Symbols",
            "price": f"{symbol or 'Price'}: {'live' if self._view == 'live' else 'bars'}",
            "scores": f"Skill and calibration {symbol}",
            "drift": f"Drift {symbol}",
            "members": f"Members {symbol}",
            "retrains": "Retrains",
            "versions": f"Versions {symbol}",
            "letters": "Dead letters",
            "group": "Partitions, workers, lag",
        }
        for number, part in enumerate(PARTS, 1):
            title = f"{number} {named[part]}"
            if self._titles.get(part) != title:
                self._titles[part] = title
                self.query_one(f"#{part}").border_title = Text(title)  # a str would be markup
