"""The encoding of a CSV file, and what separates its fields."""

from __future__ import annotations

import re
from typing import Final

from stream_app.feed.layout import Layout
from stream_app.feed.source import utf16_of

_SEPARATORS: Final = ("\t", ";", "|")


def encoding(head: bytes, layout: Layout | None) -> str:
    """What a text is in: as given, or by its beginning."""
    if layout is not None and layout.encoding is not None:
        return layout.encoding
    return utf16_of(head) or "utf-8-sig"


def delimiter(line: str) -> str:
    """What separates a line's fields; commas next to another separator are decimal ones."""
    bare = re.sub(r'"[^"]*"', "", line)
    commas = bare.count(",")
    best = max(_SEPARATORS, key=bare.count)
    return best if bare.count(best) and commas <= bare.count(best) + 1 else ","


def decodes(line: bytes, encoding: str) -> bool:
    """Whether the encoding has all of a line's bytes."""
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
