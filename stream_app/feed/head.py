"""What the beginning of a file says of the rest: its columns, and how it is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_app.feed.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of a file before its rows are read."""

    names: Sequence[str]
    """The header, in the file's order; names may repeat."""
    layout: Layout
    """How it is laid out: what was given, or what the file was taken for."""
    symbol: str | None
    """The symbol that the header itself names."""
    first_row: Sequence[str]
    """The texts below the header; an empty one where a column has a type of its own."""
    texts: Sequence[int]
    """Positions of the columns that begin with text which is no number and no time."""
    taken_for: str | None = None
    """The name of the layout that the file was recognised as, unasked."""
    delimiter: str | None = None
    """What separates fields of text."""
