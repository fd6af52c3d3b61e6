"""One part of the screen, drawn again only where what it shows has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import RenderableType
from textual.widgets import Static


class Panel(Static, can_focus=True):
    """A box with a title.

    Args:
        draw: makes what is shown of a section.
        part: its name on the screen.
    """

    def __init__(self, draw: Callable[[Any], RenderableType], part: str) -> None:
        super().__init__(id=part, classes="box")
        self._draw = draw
        self._shown: Any = object()  # like no section, so that one that is None is drawn too

    def show(self, value: Any) -> None:
        """Show a section."""
        if value != self._shown:
            self._shown = value
            self.update(self._draw(value))
