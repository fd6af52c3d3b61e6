"""Compiles Python loops over arrays to machine code, with Numba.

Compiling takes seconds. It happens when the module that defines a loop is first imported. The
result is cached in `__pycache__`, beside the bytecode, for later imports (`code_cache.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from stream_app.code_cache import LOCATORS

numba.config.CACHE_LOCATOR_CLASSES = LOCATORS  # type: ignore[attr-defined]

Loop = TypeVar("Loop", bound=Callable[..., Any])

types: Final[Any] = numba.types  # Numba publishes no type information
INTS: Final = types.int64[::1]
DOUBLES: Final = types.float64[::1]
"""Contiguous arrays of one axis."""
DOUBLE_TABLE: Final = types.float64[:, ::1]
INT_TABLE: Final = types.int64[:, ::1]
"""The same of two axes."""


def records_of(dtype: np.dtype[Any]) -> Any:
    """The type of a contiguous array of records."""
    return types.Array(numba.from_dtype(dtype), 1, "C")


def compiled(signature: Any) -> Callable[[Loop], Loop]:
    """Compile a loop for arguments and a result of these types, or load it from the cache.

    Blocks for seconds when nothing is cached. Calling the loop with other types raises TypeError.
    The machine code does not check array bounds.

    >>> @compiled(types.int64(INTS))
    ... def total(numbers):
    ...     found = 0
    ...     for number in numbers:
    ...         found += number
    ...     return found
    >>> import numpy as np
    >>> total(np.array([1, 2, 3]))
    6
    """

    def compile_or_load(loop: Loop) -> Loop:
        try:
            made: Loop = numba.njit(signature, cache=True, error_model="numpy")(loop)
        except RuntimeError:  # neither this folder nor the user's cache is writable
            made = numba.njit(signature, error_model="numpy")(loop)
        return made

    return compile_or_load


class Number:
    """A property that is a field of an array of one record, which an attribute holds.

    Compiled loops change the same record, so there is one truth.
    """

    def __init__(self, held_by: str = "numbers") -> None:
        """Say which attribute holds the record."""
        self._held_by = held_by

    def __set_name__(self, _owner: type, name: str) -> None:
        """Note of which field."""
        self._name = name

    def __get__(self, kept: Any, _owner: type) -> Any:
        """The number, as Python's."""
        return self if kept is None else getattr(kept, self._held_by)[self._name].item()

    def __set__(self, kept: Any, value: float) -> None:
        """Change it."""
        getattr(kept, self._held_by)[self._name] = value


def part(function: Loop) -> Loop:
    """A function that compiled loops call; it is compiled together with them."""
    made: Any = numba.njit(error_model="numpy")(function)
    return made  # type: ignore[no-any-return]


def address_of(array: NDArray[Any]) -> int:
    """Where an array begins in memory: what `array_at` takes. Valid while the array is held.

    A loop over many symbols takes each symbol's arrays by their addresses: a number each, in one
    array, which costs a fraction of handing over the arrays themselves.

    Raises:
        ValueError: the array is not contiguous.
    """
    if not array.flags.c_contiguous:
        raise ValueError("only a contiguous array can be found by its address")
    return int(array.ctypes.data)


def _pointer(_typing: Any, _address: Any) -> Any:
    """The address as a pointer."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


_pointer_to: Final[Any] = intrinsic(_pointer)
_carray: Final[Any] = numba.carray  # type: ignore[attr-defined]


@part
def array_at(address: int, count: int, dtype: Any) -> Any:
    """In compiled code: the `count` elements of this type that begin at an address."""
    return _carray(_pointer_to(address), count, dtype)
