"""The options of every command that reads files of prices, and the reading itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from stream_app.errors import SourceError
from stream_app.feed.bar_ends import BarTimes

if TYPE_CHECKING:
    from stream_app.feed.files import TickFile

_SYMBOL_HELP: Final = (
    "The symbol of a file without a symbol column; default: the file's name, in capitals."
)
_OPTIONS: Final = (
    click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="ROLE=NAME",
        help="Which column is the time, symbol, price, size, id, open, high, low, close or volume: "
        "by name, or by number from 1. time=Date+Time joins two; price=bid+ask is the middle. "
        "Repeatable.",
    ),
    click.option(
        "--layout",
        metavar="NAME|FILE",
        help="A known layout (`stream-app feed --layouts` lists them), or a TOML file.",
    ),
    click.option(
        "--names", metavar="A,B,...", help="The columns' names, for a file without a header."
    ),
    click.option(
        "--skip-lines",
        type=click.IntRange(min=0),
        metavar="N",
        help="Skip N lines above the header.",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        help="The encoding of the text, such as cp1252; default: UTF-8 or UTF-16.",
    ),
    click.option(
        "--decimal", type=click.Choice([".", ","]), help="The decimal separator of numbers."
    ),
    click.option(
        "--time-format",
        metavar="FORMAT",
        help='The format of times, as in strptime: "%d.%m.%Y %H:%M". Day and month are never '
        "guessed.",
    ),
    click.option(
        "--time-zone",
        metavar="ZONE",
        help="The zone of times that have none: America/New_York, or -05:00; default: UTC.",
    ),
    click.option(
        "--bar-times",
        type=click.Choice(get_args(BarTimes)),
        help="Which end of a bar its time is. Default: its start, or its end in a column such as "
        "close_time.",
    ),
    click.option(
        "--bad-rows",
        type=click.Choice(["refuse", "skip"]),
        default="refuse",
        show_default=True,
        help="Reject a file with rows that cannot be used, or skip and count those rows.",
    ),
)
_NAMES: Final = (
    *("columns", "layout", "names", "skip_lines", "encoding", "decimal"),
    *("time_format", "time_zone", "bar_times", "bad_rows"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the options say of a file."""

    columns: tuple[str, ...] = ()
    layout: str | None = None
    names: str | None = None
    skip_lines: int | None = None
    encoding: str | None = None
    decimal: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    bar_times: BarTimes | None = None
    bad_rows: str = "refuse"

    def given(self) -> str | None:
        """An option that was given, or None where none was."""
        for name in _NAMES:
            if getattr(self, name) not in (None, (), "refuse"):
                return "--column" if name == "columns" else f"--{name.replace('_', '-')}"
        return None

    def read(
        self,
        paths: Sequence[Path],
        *,
        symbol: str | None,
        command: str,
        bar_seconds: int,
        coarse: bool = False,
        pick: bool = False,
    ) -> TickFile:
        """Read files, and say on stderr what they were understood as. Blocks on reading.

        Args:
            paths: the files, read as one.
            symbol: as `read_ticks`.
            command: what begins the lines on stderr.
            bar_seconds: the length of the models' bars, which the file's may not exceed.
            coarse: whether they may; then it is a warning.
            pick: whether `symbol` may also be one of those that the files name.

        Raises:
            SourceError: as `read_ticks`; or its bars are longer than `bar_seconds`.
        """
        from stream_app.feed.coarse import coarse_bars, sparse_ticks
        from stream_app.feed.columns import parse_mapping
        from stream_app.feed.files import read_ticks
        from stream_app.feed.layout import Layout, load_layout

        name, base = load_layout(self.layout) if self.layout else (None, Layout())
        layout = base.overlaid(
            columns=parse_mapping(self.columns),
            names=tuple(each.strip() for each in (self.names or "").split(",") if each.strip()),
            skip_lines=self.skip_lines,
            encoding=self.encoding,
            decimal=self.decimal,
            time_format=self.time_format,
            time_zone=self.time_zone,
            bar_times=self.bar_times,
        )
        file = read_ticks(
            tuple(paths),
            symbol=symbol,
            layout=layout if name or self.given() else None,
            skip_bad_rows=self.bad_rows == "skip",
            pick=pick,
        )
        for line in (*file.understood.lines(), *file.notices):
            click.echo(f"{command}: {line}", err=True)
        if problem := coarse_bars(file.understood, bar_seconds):
            if not coarse:
                remedy = "; to feed it as it is, give --coarse" if command == "feed" else ""
                raise SourceError(problem + remedy)
            click.echo(f"{command}: warning: {problem}", err=True)
        if sparse := sparse_ticks(file.understood, bar_seconds):
            click.echo(f"{command}: warning: {sparse}", err=True)
        return file


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which is given them as `reading`."""

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        return command(
            **{name: value for name, value in given.items() if name not in _NAMES},
            reading=Reading(**{name: given[name] for name in _NAMES}),
        )

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


symbol_option = click.option("--symbol", metavar="NAME", help=_SYMBOL_HELP)


def read_if_given(
    reading: Reading, path: Path | None, *, option: str, symbol: str | None, **how: Any
) -> TickFile | None:
    """Read the one file that an option names, or none, as `Reading.read`.

    Raises:
        SourceError: as `Reading.read`.
        UsageError: no file is named, but options say how to read it.
    """
    if path is not None:
        return reading.read([path], symbol=symbol, **how)
    if given := reading.given() or (None if symbol is None else "--symbol"):
        raise click.UsageError(f"{given} is for a file; name it with {option}")
    return None
