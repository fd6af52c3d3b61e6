from __future__ import annotations

import pytest

from stream_app.terminal.numbers import significant


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.9e-5, "0.00002900"),
        (-2.9e-5, "-0.00002900"),
        (0.25, "0.2500"),
        (1.5, "1.500"),
        (123.456, "123.46"),
        (46319.123, "46,319.12"),
        (0.0, "0.00"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_has_digits_that_say_something(value: float, shown: str) -> None:
    assert significant(value) == shown
