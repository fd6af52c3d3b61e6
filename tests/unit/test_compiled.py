"""Loops are compiled when they are defined, also where no machine code can be kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
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


LOOP = """
from parts import FACTOR, NAMES, changed
from stream_app.compiled import DOUBLES, compiled, types

def outer():
    share = 0.5

    @compiled(types.float64(DOUBLES))
    def total(values):
        found = 0.0
        for value in values:
            found += changed(value) * FACTOR * share + len(NAMES)
        return found

    return total

import numpy as np
total = outer()
print(total(np.ones(2)), sum(total.stats.cache_hits.values()))
"""
PARTS = """
from stream_app.compiled import part
FACTOR, NAMES = 3.0, ("a",)

@part
def changed(value):
    return twice(value)

@part
def twice(value):
    return 2.0 * value
"""


@pytest.mark.parametrize(
    ("before", "after", "total"),
    [("2.0 * value", "4.0 * value", 14.0), ("3.0", "5.0", 12.0), ('("a",)', '("a", "b")', 10.0)],
    ids=["a function that a called one calls", "a number", "a tuple"],
)
def test_code_that_was_kept_is_not_used_when_what_went_into_it_has_changed(
    tmp_path: Path, before: str, after: str, total: float
) -> None:
    """Numba itself looks at the loop's own file alone."""

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    (tmp_path / "loop.py").write_text(LOOP)
    (tmp_path / "parts.py").write_text(PARTS)
    assert run() == "8.0 0"
    assert run() == "8.0 1", "what has not changed is not compiled again"
    (tmp_path / "parts.py").write_text(PARTS.replace(before, after))
    assert run() == f"{total} 0"
    assert run() == f"{total} 1"
