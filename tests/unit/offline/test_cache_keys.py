"""What is kept on disk is found again only by the code that made it."""

from __future__ import annotations

import grimp
import pytest

from stream_app.offline import gating, training_cache, window_cache

WITHOUT_NUMBERS = {"clock", "code_cache", "compiled", "environment", "errors", "settings"}
"""They decide no number; settings are in the keys."""


@pytest.mark.parametrize(
    ("made_by", "entry"),
    [
        (training_cache._LEARNS_FROM, "stream_app.training.job"),
        (gating._MADE_BY, "stream_app.training.gate"),
        (window_cache._MADE_BY, "stream_app.offline.window"),
    ],
)
def test_a_key_follows_from_all_code_that_is_called(made_by: tuple[str, ...], entry: str) -> None:
    """The key of trainings left out `scoring`, by which the models judge what chance is."""
    called = grimp.build_graph("stream_app").find_upstream_modules(entry)
    rooms = {module.split(".")[1] for module in called if "." in module}
    assert rooms - WITHOUT_NUMBERS <= set(made_by)
