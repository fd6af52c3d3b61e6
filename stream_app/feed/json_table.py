"""JSON as people keep it: one object a line, or one array of objects or of rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.json as arrow_json
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.problems import Problem
from stream_app.feed.source import WANTED, FileBytes, one_line, utf16_of
from stream_app.feed.usual_names import usual

_MOST_COLUMNS: Final = 1_000
"""How many an object's objects may become."""
_EXTENDED: Final = re.compile(r"\.\$(?:date|oid|number\w+)$")
"""How MongoDB marks the type of a value."""
_TWICE: Final = "specified twice"
_RECORDS: Final = 'pandas writes with to_json(orient="records", lines=True)'


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Objects as a table, and where each stands."""

    table: Any
    """A `pyarrow.Table`; names inside objects are joined by dots."""
    lines: NDArray[np.int64] | None = None
    """The line of each row, from 0; None where rows are not lines."""
    bad_lines: Problem | None = None


def json_start(head: bytes) -> bytes:
    """The first character, whatever Unicode it is in: `{` or `[` where it is JSON."""
    if (encoding := utf16_of(head)) is not None:
        head = head.decode(encoding, errors="ignore").encode()
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]


def read_objects(source: FileBytes, encoding: str | None) -> JsonRows:
    """JSON lines, whose names become the columns.

    Text that looks like times stays text, so that it is understood as in CSV.

    Raises:
        SourceError: no line is a JSON object, or one object holds the whole file.
    """
    content = _utf8(source, encoding)
    try:
        rows = JsonRows(_by_arrow(content))
    except pa.ArrowException as error:  # it names a row of a block, and wants one type a column
        rows = _by_line(source, content, error)
    _refuse_one_object(source, rows.table)
    return JsonRows(_flat(rows.table), rows.lines, rows.bad_lines)


def read_array(source: FileBytes, encoding: str | None) -> JsonRows | bytes:
    """An array of objects as their rows, or an array of arrays, or a line for each, as CSV.

    Raises:
        SourceError: it is no JSON, or holds something else.
    """
    content = _utf8(source, encoding)
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        try:
            found = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            raise SourceError(
                f"{source.path}: not JSON ({one_line(error)}); {WANTED}; write one object a line"
            ) from None
    if found and all(type(row) is dict for row in found):
        return JsonRows(_flat(_table(found)))
    plain = (str, int, float, bool, type(None))
    if found and all(type(row) is list and all(type(v) in plain for v in row) for row in found):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(found)
        return text.getvalue().encode()
    raise SourceError(
        f"{source.path}: a JSON array of something else than objects or rows of plain values; "
        f"{WANTED}; write one object a line"
    )


def _utf8(source: FileBytes, encoding: str | None) -> bytes:
    with source.open() as stream:
        content = stream.read()
    given = encoding or utf16_of(content[:8])
    try:
        text = content if given is None else content.decode(given).encode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{source.path}: JSON, but not in {given} ({one_line(error)}); {WANTED}; say in which "
            "encoding it is with --encoding"
        ) from None
    return text.removeprefix(codecs.BOM_UTF8)


def _by_arrow(content: bytes) -> Any:
    table = arrow_json.read_json(io.BytesIO(content))
    typed = {field.name: (field.type, _times_as_text(field.type)) for field in table.schema}
    schema = pa.schema([(name, text) for name, (kind, text) in typed.items() if text != kind])
    if not schema.names:
        return table
    options = arrow_json.ParseOptions(explicit_schema=schema)
    return arrow_json.read_json(io.BytesIO(content), parse_options=options)


def _times_as_text(kind: Any) -> Any:
    """The type with text in place of times, which have lost their zones, also inside objects."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _times_as_text(field.type)) for field in kind])
    return pa.list_(_times_as_text(kind.value_type)) if pa.types.is_list(kind) else kind


def _by_line(source: FileBytes, content: bytes, error: BaseException) -> JsonRows:
    """The same line by line: slower, but a field may change its type, and a line may be bad."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    bad: list[tuple[int, bytes]] = []
    for nth, line in enumerate(content.split(b"\n")):
        bare = line.strip().removesuffix(b",")
        if not bare:
            continue
        try:
            row = orjson.loads(bare)
        except orjson.JSONDecodeError:
            row = None
        if type(row) is dict:
            rows.append(row)
            lines.append(nth)
        else:
            bad.append((nth, bare))
    if not rows or _TWICE in str(error):  # of two values none is right
        raise SourceError(
            f"{source.path}: not JSON lines ({one_line(error)}); {WANTED}; write one object a line"
        )
    problem = None
    if bad:
        shown = bad[0][1][:60].decode(errors="replace")
        problem = Problem(
            kind="bad_json",
            row=bad[0][0],
            found=f"{shown!r} is no JSON object",
            wanted="one object a line",
            remedy="",
            count=len(bad),
        )
    return JsonRows(_table(rows), np.array(lines, dtype=np.int64), problem)


def _table(rows: Sequence[dict[str, Any]]) -> Any:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: Sequence[Any]) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):  # of several types
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    return value if value is None or type(value) is str else orjson.dumps(value).decode()


def _refuse_one_object(source: FileBytes, table: Any) -> None:
    """One object for the whole file, as interfaces answer."""
    has_time = usual(
        "time", [each.name for each in table.schema if not pa.types.is_nested(each.type)]
    )
    if table.num_rows != 1 or has_time:
        return
    for field in table.schema:
        is_list = pa.types.is_list(field.type)
        if is_list and pa.types.is_struct(field.type.value_type):
            remedy = f"as `jq -c '.[{orjson.dumps(field.name).decode()}][]'` does"
        elif is_list or (pa.types.is_struct(field.type) and _is_numbered(field.type)):
            remedy = f"as {_RECORDS}"
        else:
            continue
        raise SourceError(
            f"{source.path}: one JSON object with all rows in {field.name!r}; {WANTED}; write one "
            f"object a line, {remedy}"
        )


def _is_numbered(kind: Any) -> bool:
    return kind.num_fields > 0 and all(field.name.isdecimal() for field in kind)


def _flat(table: Any) -> Any:
    """Objects inside as columns of their own, without the name of the only one with a time."""
    while table.num_columns <= _MOST_COLUMNS and any(map(pa.types.is_struct, table.schema.types)):
        table = table.flatten()
    names = [_EXTENDED.sub("", name) for name in table.column_names]
    if len(set(names)) == len(names):
        table = table.rename_columns(names)
    names = table.column_names
    if usual("time", [name for name in names if "." not in name]):
        return table
    outer = _outer(names)
    bare = [name.removeprefix(f"{outer}.") for name in names]
    return table.rename_columns(bare) if outer and len(set(bare)) == len(bare) else table


def _outer(names: Iterable[str]) -> str | None:
    inside: dict[str, list[str]] = {}
    for name in names:
        outer, dot, inner = name.rpartition(".")
        if dot:
            inside.setdefault(outer, []).append(inner)
    found = [outer for outer, each in inside.items() if usual("time", each)]
    return found[0] if len(found) == 1 else None
