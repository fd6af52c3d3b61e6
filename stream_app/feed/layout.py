"""How a kind of file is laid out: its header, columns, times and numbers.

A layout comes from a TOML file of the user's, from one that ships in `layouts/`, or from the
options of a command; see docs/files.md.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stream_app.errors import SourceError
from stream_app.feed.bar_ends import BarTimes
from stream_app.feed.columns import ROLES
from stream_app.feed.time_formats import format_problem
from stream_app.feed.zones import zone_of

_FOLDER: Final = "layouts"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Layout:
    """What a file does not show itself. Whatever is left out is detected from the file."""

    title: str = ""
    """Which files are laid out like this, for the list and the messages."""
    match: str | None = None
    """A regular expression for the first lines of such a file. Only layouts that ship with the
    package are tried on files unasked."""
    names: tuple[str, ...] = ()
    """The columns' names, for a file without a header."""
    skip_lines: int = 0
    """Lines above the header, or above the rows of a file without one."""
    header_lines: int = 1
    """Lines that make the header; a column is named by the lowest that says something."""
    symbol_line: int | None = None
    """Which line of the header, from 1, repeats the symbol in every column."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role -> a column's name or number; `A+B` for two; with `*` the first name that fits."""
    empty_is_unchanged: bool = False
    """Whether an empty bid or ask means that of the row before."""
    delimiter: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    time_format: str | None = None
    """As in Python's strptime."""
    time_zone: str | None = None
    """Of times that name none: an IANA name, or an offset such as -05:00."""
    bar_times: BarTimes | None = None
    """Which end of a bar its time is; by default as the column's name says, or the start."""

    def __post_init__(self) -> None:
        """Check what types alone do not.

        Raises:
            ValueError: which pydantic reports with its place.
        """
        if self.skip_lines < 0 or self.header_lines < 1:
            raise ValueError("skip_lines counts from 0, header_lines from 1")
        if unknown := sorted(set(self.columns) - set(ROLES)):
            raise ValueError(f"columns has {unknown[0]!r}; looked for {', '.join(ROLES)}")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError(f"delimiter is {self.delimiter!r}; looked for one character")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise ValueError(
                    f"encoding is {self.encoding!r}; looked for one that Python knows, such as "
                    "utf-16 or cp1252"
                ) from None
        if self.time_format is not None and (problem := format_problem(self.time_format)):
            raise ValueError(
                f"time_format is {self.time_format!r} ({problem}); looked for the letters of "
                'strptime; write it like "%d.%m.%Y %H:%M"'
            )
        if self.time_zone is not None:
            zone_of(self.time_zone)
        if self.match is not None:
            re.compile(self.match)

    def overlaid(self, **given: Any) -> Layout:
        """This layout with what is given in place of its own; columns are added by role.

        >>> Layout(columns={"time": "T"}).overlaid(columns={"price": "P"}, decimal=None).columns
        {'time': 'T', 'price': 'P'}

        Raises:
            SourceError: a value cannot be.
        """
        chosen = {name: value for name, value in given.items() if value not in (None, (), {})}
        if columns := chosen.pop("columns", None):
            chosen["columns"] = {**self.columns, **columns}
        try:
            return replace(self, **chosen)
        except (ValidationError, ValueError) as error:
            key, _, rest = _problem(error).partition(" ")
            raise SourceError(f"--{key.replace('_', '-')} {rest}") from None


_LAYOUT: Final = TypeAdapter(Layout)


def load_layout(given: str) -> tuple[str, Layout]:
    """A layout that ships with the package, by its name, or one of the user's, by its file.

    Returns:
        Its name, for the messages, and the layout.

    Raises:
        SourceError: no such layout, or its file is not one.
    """
    if given in known_layouts():
        return given, known_layouts()[given]
    path = Path(given)
    if not path.is_file():
        raise SourceError(
            f"--layout {given}: no such file, and no layout of that name; looked for "
            f"{', '.join(known_layouts())}; `stream-app feed --layouts` describes them"
        )
    return path.stem, _parsed(str(path), path.read_bytes())


@cache
def known_layouts() -> dict[str, Layout]:
    """The layouts that ship with the package, by name. Blocks on reading them once."""
    folder = resources.files("stream_app.feed") / _FOLDER
    files = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".toml")),
        key=lambda item: item.name,
    )
    return {
        item.name.removesuffix(".toml"): _parsed(item.name, item.read_bytes()) for item in files
    }


def recognised(head: str) -> tuple[str, Layout] | None:
    """The known layout whose pattern fits a file's first lines, with its name.

    >>> recognised("1637971200,1.5,2.25")[0]
    'kraken-trades'

    Args:
        head: the beginning of the text, its lines ended by line feeds alone.
    """
    for name, layout in known_layouts().items():
        if layout.match is not None and re.match(layout.match, head):
            return name, layout
    return None


def _parsed(name: str, content: bytes) -> Layout:
    try:
        return _LAYOUT.validate_python(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"layout {name}: not TOML ({error})") from None
    except (ValidationError, ValueError) as error:
        raise SourceError(f"layout {name}: {_problem(error)}; see docs/files.md") from None


def _problem(error: ValidationError | ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
