"""Compiles Python loops over arrays to machine code, with Numba.

Compiling takes seconds. It happens when the module that defines a loop is first imported. The
result is cached in `__pycache__`, beside the bytecode, for later imports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])

types: Final[Any] = numba.types  # Numba publishes no type information
INTS: Final = types.int64[::1]
DOUBLES: Final = types.float64[::1]
"""Contiguous arrays of one axis."""


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
