"""A symbol's price, with what is predicted ahead of it and what came true behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static
from textual_plotext import PlotextPlot

from stream_app.terminal.numbers import significant, stated
from stream_app.top.cells import PRICE_DIGITS, basis_points

_TICKS: Final = 4
"""Times below the plot."""


class PricePanel(Vertical, can_focus=True):
    """The newest answer in words, and a plot of the answers or bars before it."""

    def __init__(self, part: str) -> None:
        super().__init__(id=part, classes="box")
        self._shown: tuple[object, object] = (None, None)

    def compose(self) -> ComposeResult:
        """The words above the plot."""
        yield Static(id="readout")
        yield PlotextPlot(id="plot")

    def show(self, answer: Mapping[str, Any] | None, history: Mapping[str, Any]) -> None:
        """Show the sections `answer` and `history` of a symbol."""
        if (answer, history) == self._shown:
            return
        self._shown = answer, history
        self.query_one("#readout", Static).update(readout(answer, history["symbol"]))
        plot = self.query_one("#plot", PlotextPlot)
        draw(plot.plt, history.get("columns"))
        plot.refresh()


def readout(answer: Mapping[str, Any] | None, symbol: str) -> Text:
    """The newest answer to a tick of a symbol in words; "" while there is no symbol."""
    if not symbol:
        return Text("No symbol is known yet: the first one comes with the first tick.")
    if answer is None:
        return Text("No answer among those that were read.")
    last = answer["last_price"]
    text = Text(f"{significant(last, PRICE_DIGITS)} at {_clock(answer['ts'])}", "bold")
    text.append(
        f"  → {significant(answer['prediction'], PRICE_DIGITS)}"
        f" at {_clock(answer['target_ts'])} UTC (",
        "not bold",
    )
    text.append_text(basis_points(answer["prediction"], last)).append(" bp)", "not bold")
    for level, low, high in answer["intervals"]:
        between = f"{significant(low, PRICE_DIGITS)} to {significant(high, PRICE_DIGITS)}"
        text.append(f"\n{stated(level)} within {between}", "not bold")
    return text


def draw(plot: Any, columns: Mapping[str, Sequence[float | None]] | None) -> None:
    """Draw a history on an empty plot; the signs differ as well as the colours."""
    plot.clear_figure()
    if not columns or not columns["ts"]:
        return
    for name, edge in (("outer_low", ""), ("outer_high", "widest interval")):
        _line(plot, columns["target"], columns[name], edge, marker="dot", color="gray")
    _line(plot, columns["target"], columns["predicted"], "predicted", marker="x", color="cyan")
    _line(plot, columns["ts"], columns["close"], "price", marker="braille", color="orange")
    times = [at for name in ("ts", "target") for at in columns[name] if at is not None]
    first, last = min(times), max(times)
    marks = [first + (last - first) * number / _TICKS for number in range(_TICKS + 1)]
    plot.xticks(marks, [_clock(at) for at in marks])


def _line(
    plot: Any,
    times: Sequence[float | None],
    values: Sequence[float | None],
    label: str,
    **look: str,
) -> None:
    points = [
        (at, value)
        for at, value in zip(times, values, strict=True)
        if at is not None and value is not None
    ]
    if points:
        plot.plot(*zip(*points, strict=True), label=label or None, **look)


def _clock(ts: float) -> str:
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%H:%M:%S}"
