"""Machine code from Python's loops over arrays, by Numba.

Made when the module that defines a loop is first imported, in seconds, and kept in `__pycache__`
beside the bytecode for every import after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])

types: Final[Any] = numba.types  # Numba gives them no type information
INTS: Final = types.int64[::1]
DOUBLES: Final = types.float64[::1]
"""Arrays of one axis, without gaps."""


def compiled(signature: Any) -> Callable[[Loop], Loop]:
    """Compile for arguments and an answer of these types, unless that was done before.

    Arguments of other types raise TypeError when the loop is called. Bounds are not checked.
    """

    def compile_or_load(loop: Loop) -> Loop:
        try:
            made: Loop = numba.njit(signature, cache=True, error_model="numpy")(loop)
        except RuntimeError:  # neither this folder nor the user's cache can be written
            made = numba.njit(signature, error_model="numpy")(loop)
        return made

    return compile_or_load
