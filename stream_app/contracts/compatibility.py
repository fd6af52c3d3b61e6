"""Whether a reader with one schema accepts all that a writer with another may write. Pure.

The answer is conservative: what cannot be proven counts as a refusal. Decision 0017 explains why
this is our own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stream_app.contracts.bounds import out_of_bounds, types_of
from stream_app.contracts.forms import Schema, closed_form, open_form
from stream_app.contracts.keywords import CONDITIONS, bare, require_known

_Found = Iterator[tuple[str, str]]
"""Places such as `prediction.members.*.weight`, each with what is wrong there."""


def broken_promises(name: str, old: Schema, new: Schema) -> list[str]:
    """What a new version of a schema breaks, one line each; empty when nothing.

    Old and new readers must take old and new messages. Writers write the fields that their schema
    names, and readers ignore those that theirs does not: so a field may be added that is not
    required. None may be left out.

    Args:
        name: of the schema, for the lines.
        old: as it was released.
        new: as it is now.

    Raises:
        ContractError: a schema has a keyword that cannot be compared.
    """
    require_known(old, name)
    require_known(new, name)
    lines = [
        f"{place}: is left out; only a new version of the topic may do so"
        for place in dict.fromkeys(_left_out(old, new, name))
    ]
    for told, writer, reader in (
        ("an old reader may refuse a new message", new, old),
        ("a new reader may refuse an old message", old, new),
    ):
        found = _refusals(closed_form(writer), open_form(reader), name)
        lines += [f"{place}: {told}: {why}" for place, why in dict.fromkeys(found)]
    return lines


def refusals(writer: Schema | bool, reader: Schema | bool, name: str = "value") -> list[str]:
    """What of all that is valid for `writer` may be invalid for `reader`; empty when nothing.

    >>> refusals({"type": "integer", "minimum": 0}, {"type": "number"})
    []
    >>> refusals({"type": ["string", "null"]}, {"type": "string"})
    ['value: null is written, and not read']

    Raises:
        ContractError: a schema has a keyword that cannot be compared.
    """
    require_known(writer, name)
    require_known(reader, name)
    return [f"{place}: {why}" for place, why in _refusals(writer, reader, name)]


def _refusals(writer: Schema | bool, reader: Schema | bool, place: str) -> _Found:
    if writer is False or reader is True:
        return
    if reader is False:
        yield place, "is written, and not read"
        return
    w: Schema = {} if writer is True else writer
    written = types_of(w)
    if unread := written - types_of(reader):
        yield place, f"{', '.join(sorted(unread))} is written, and not read"
        return
    for why in out_of_bounds(w, reader):
        yield place, why
    for key in CONDITIONS:
        if key in reader and bare(w.get(key)) != bare(reader[key]):
            yield place, f"the condition {key!r} differs, so it may not be met"
    if "array" in written:
        yield from _items(w, reader, f"{place}[]")
    if "object" in written:
        yield from _fields(w, reader, place)


def _items(w: Schema, r: Schema, place: str) -> _Found:
    """Position by position, up to the first that neither schema names."""
    for position in range(_longest(w, r) + 1):
        yield from _refusals(_item(w, position), _item(r, position), place)


def _longest(*schemas: Schema) -> int:
    """How many positions of a list some schema names."""
    named = (schema.get("items") for schema in schemas)
    return max(len(items) if isinstance(items, list) else 0 for items in named)


def _item(schema: Schema, position: int) -> Schema | bool:
    items: Any = schema.get("items", True)
    if isinstance(items, list):
        items = items[position] if position < len(items) else schema.get("additionalItems", True)
    item: Schema | bool = items
    return item


def _fields(w: Schema, r: Schema, place: str) -> _Found:
    for name in r.get("required", []):
        if name not in w.get("required", []):
            yield f"{place}.{name}", "may be absent where it is written, and is required where read"
    further: tuple[Schema | bool, Schema | bool] = (
        w.get("additionalProperties", True),
        r.get("additionalProperties", True),
    )
    named: tuple[Schema, Schema] = (w.get("properties", {}), r.get("properties", {}))
    for name in {**named[0], **named[1]}:
        yield from _refusals(
            named[0].get(name, further[0]), named[1].get(name, further[1]), f"{place}.{name}"
        )
    yield from _refusals(*further, f"{place}.*")
    yield from _names(w, r, place)


def _names(w: Schema, r: Schema, place: str) -> _Found:
    """The names of fields: those that are named, and all that may come besides."""
    if "propertyNames" not in r:
        return
    asked: Schema | bool = r["propertyNames"]
    for name in w.get("properties", {}):
        yield from _refusals({"const": name}, asked, f"{place}.{name} (the name)")
    if w.get("additionalProperties", True) is not False:
        kept = w.get("propertyNames", True)
        kept = {"type": "string", **kept} if isinstance(kept, dict) else kept and {"type": "string"}
        yield from _refusals(kept, asked, f"{place} (the names)")


def _left_out(old: Schema | bool, new: Schema | bool, place: str) -> Iterator[str]:
    """Where a field was named that is no longer."""
    if isinstance(old, bool) or isinstance(new, bool):
        return
    named = new.get("properties", {})
    for name, part in old.get("properties", {}).items():
        if name in named:
            yield from _left_out(part, named[name], f"{place}.{name}")
        else:
            yield f"{place}.{name}"
    further = [schema.get("additionalProperties", True) for schema in (old, new)]
    yield from _left_out(further[0], further[1], f"{place}.*")
    for position in range(_longest(old, new) + 1):
        yield from _left_out(_item(old, position), _item(new, position), f"{place}[]")
