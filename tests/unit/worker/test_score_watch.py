"""What the metrics show of the scores: some symbols each, the others together."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest

from stream_app.messages.schemas import PLAIN_HARM, Score
from stream_app.models.catalog import CATALOG
from stream_app.ops import metrics
from stream_app.ops.metrics import REGISTRY
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.settings import Settings
from stream_app.training import counts as _retrains  # noqa: F401 - has all outcomes begin at 0
from stream_app.worker import counts as _batches  # noqa: F401 - the same of the reasons
from stream_app.worker.score_watch import ScoreWatch
from tests.builders import records, settings, walk
from tests.scraped import series

FORECASTERS = (*CATALOG, "ensemble", "published", "last_price")


@pytest.fixture(scope="module")
def score() -> Score:
    """The last of two days of bars, with figures of each span."""
    chosen = settings(bar_seconds=60, training_window_days=4)
    made = PartitionPipeline(PredictionSettings.of(chosen)).process(records(walk(4 * 3200)))
    newest = made.scores[-1]
    assert newest.running["week"]["published"].mse_skill is not None
    assert len(newest.coverage["week"]) == 2
    return newest


def with_all(score: Score, symbol: str, skill: float = 0.5) -> Score:
    """The score as it is once all four models answer."""
    figures = replace(score.running["week"]["published"], mse_skill=skill)
    return replace(
        score,
        symbol=symbol,
        running={"week": dict.fromkeys(FORECASTERS, figures)},
        shrinkage=dict.fromkeys((*CATALOG, "ensemble"), 0.25),
    )


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def skill_of(symbol: str) -> float | None:
    return shown("stream_app_mse_skill_ratio", symbol=symbol, forecaster="lstm")


def test_the_first_symbols_have_series_and_the_others_their_mean(score: Score) -> None:
    watch = ScoreWatch(2)
    watch.note(
        [with_all(score, name, skill) for name, skill in zip("ABCD", (1, 2, 3, 5), strict=True)]
    )
    assert [skill_of(name) for name in "ABCD"] == [1, 2, None, None]
    assert skill_of(metrics.OTHER_SYMBOLS) == 4
    watch.note([with_all(score, "D", 7), with_all(score, "A", -1)])
    assert skill_of("A") == -1
    assert shown("stream_app_mse_skill_ratio", symbol="A", forecaster="last_price") is None
    assert skill_of(metrics.OTHER_SYMBOLS) == 5
    assert shown("stream_app_shrinkage_ratio", symbol="B", forecaster="ensemble") == 0.25
    held = score.coverage["week"]["0.9"]
    assert shown("stream_app_interval_coverage_ratio", symbol="A", level="0.9") == held


def test_a_symbol_that_went_to_another_worker_is_no_longer_shown(score: Score) -> None:
    watch = ScoreWatch(1)
    harmed = replace(with_all(score, "A"), harm=PLAIN_HARM)
    watch.note([harmed, with_all(score, "B", 0.75)])
    assert shown("stream_app_harmed_symbols") == 1
    watch.keep({"B", "C"})
    assert shown("stream_app_harmed_symbols") == 0
    assert skill_of("A") is None
    assert skill_of("B") == 0.75
    assert skill_of(metrics.OTHER_SYMBOLS) is None


def test_without_series_of_their_own_all_symbols_are_taken_together(score: Score) -> None:
    watch = ScoreWatch(0)
    watch.note([with_all(score, "A", 1), with_all(score, "B", 2)])
    assert skill_of(metrics.OTHER_SYMBOLS) == 1.5
    assert skill_of("A") is None


def test_what_is_not_defined_is_left_out(score: Score) -> None:
    watch = ScoreWatch(5)
    still = {"week": {"lstm": replace(score.running["week"]["published"], mse_skill=None)}}
    watch.note([replace(score, symbol="A", running=still), replace(score, symbol="B", running={})])
    assert skill_of("A") is None
    assert skill_of(metrics.OTHER_SYMBOLS) is None


def test_a_thousand_symbols_give_at_most_two_thousand_series(score: Score) -> None:
    """With every reason, outcome and level, and 64 partitions."""
    limit = Settings.model_fields["metrics_symbols"].default
    watch = ScoreWatch(limit)
    watch.note(with_all(score, f"SYM-{number}") for number in range(1000))
    for number in range(64):
        metrics.LAG.labels(str(number)).set(0)
    try:
        symbols = {
            sample.labels["symbol"]
            for sample in chain.from_iterable(item.samples for item in REGISTRY.collect())
            if "symbol" in sample.labels
        }
        assert len(symbols) == limit + 1
        assert 1000 < series(REGISTRY) <= 2000
    finally:
        metrics.LAG.clear()
