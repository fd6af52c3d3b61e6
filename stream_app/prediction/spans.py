"""Where each of several parts lies when they are put one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized


def spans(parts: Iterable[Sized]) -> Iterator[slice]:
    """The slice of each part in the concatenation of all.

    >>> list(spans(["ab", "", "c"]))
    [slice(0, 2, None), slice(2, 2, None), slice(2, 3, None)]
    """
    start = 0
    for part in parts:
        end = start + len(part)
        yield slice(start, end)
        start = end
