"""Loops are compiled when they are defined, also where no machine code can be kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_app.compiled import DOUBLES, compiled

OF_DOUBLES = DOUBLES(DOUBLES)


def doubled(values: Any) -> Any:
    return values * 2.0


def test_a_loop_takes_arrays_of_its_types_alone() -> None:
    loop = compiled(OF_DOUBLES)(doubled)
    assert loop(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
    for wrong in (np.array([1, 2]), np.ones((2, 2)), np.ones(4)[::2]):
        with pytest.raises(TypeError, match="No matching definition"):
            loop(wrong)


def test_a_loop_whose_code_cannot_be_kept_is_compiled_all_the_same() -> None:
    defined: dict[str, Any] = {}
    exec(compile("def halved(values):\n    return values / 2.0", "<of no file>", "exec"), defined)  # noqa: S102
    loop = compiled(OF_DOUBLES)(defined["halved"])
    assert loop(np.array([1.0])).tolist() == [0.5]
