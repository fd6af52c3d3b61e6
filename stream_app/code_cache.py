"""Where Numba caches machine code, and when the cached code is still valid.

By default Numba recompiles a loop when the loop's own file has changed. But a loop's machine code
also contains the functions that it calls and the constants that it names, from any file. After a
change of one of those the stale code would still be used, without any notice. So here the cache key
also covers all of these.

Numba finds these classes by `NUMBA_CACHE_LOCATOR_CLASSES`, its setting for such cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Final

import numpy as np
from numba import types
from numba.core import caching

_PLAIN: Final = (
    *(bool, int, float, str, bytes, tuple, type(None)),
    *(np.dtype, np.generic, types.Type),
)
"""Constants whose text is their value."""


def contents(loop: Callable[..., Any]) -> bytes:
    """A digest of a function, of all functions that it calls, and of the constants they name.

    Args:
        loop: plain Python, as it was before it was compiled.
    """
    digest = hashlib.sha256()
    for piece in _pieces(loop, set()):
        digest.update(piece)
        digest.update(b"\0")
    return digest.digest()


def _pieces(loop: Callable[..., Any], seen: set[int]) -> Iterator[bytes]:
    if id(loop) in seen:
        return
    seen.add(id(loop))
    yield from _of_code(loop.__code__)
    cells = zip(loop.__code__.co_freevars, loop.__closure__ or (), strict=True)
    named = {name: cell.cell_contents for name, cell in cells}
    for name in sorted(_names(loop.__code__)):
        if name in loop.__globals__:
            named[name] = loop.__globals__[name]
    for name, value in named.items():
        yield name.encode()
        called = getattr(value, "py_func", None)
        if called is not None:
            yield from _pieces(called, seen)
        elif isinstance(value, np.ndarray):
            yield value.tobytes()
        elif isinstance(value, _PLAIN):
            yield repr(value).encode()
        else:
            yield getattr(value, "__qualname__", type(value).__qualname__).encode()


def _of_code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield repr(constant).encode()


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, inner))


class _WithContents:
    """A locator whose stamp also names what has gone into the machine code."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[call-arg]
        self._contents = contents(py_func)

    def get_source_stamp(self) -> tuple[Any, bytes]:
        """Compared with the one that was kept; other code is not used."""
        return super().get_source_stamp(), self._contents  # type: ignore[misc]


class Given(_WithContents, caching.UserProvidedCacheLocator):
    """Below NUMBA_CACHE_DIR, where that is set."""


class InTree(_WithContents, caching.InTreeCacheLocator):
    """In `__pycache__` beside the file."""


class UserWide(_WithContents, caching.UserWideCacheLocator):
    """In the user's cache, where the file's folder cannot be written."""


LOCATORS: Final = ",".join(
    [
        *(f"{__name__}.{each.__name__}" for each in (Given, InTree, UserWide)),
        *("IPythonCacheLocator", "ZipCacheLocator"),  # for loops of others in the same process
    ]
)
