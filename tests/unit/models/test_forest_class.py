from __future__ import annotations

import sys

import pytest
from sklearn.ensemble import RandomForestRegressor

from stream_app.models.random_forest import forest_class


def test_the_forest_is_scikit_learns_where_intelex_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearnex", None)
    assert forest_class() is RandomForestRegressor


def test_the_forest_is_intelexs_where_that_is_installed() -> None:
    fast = pytest.importorskip("sklearnex.ensemble", reason="scikit-learn-intelex: .[fast]")
    assert forest_class() is fast.RandomForestRegressor
