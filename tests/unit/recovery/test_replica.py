"""What is known of a partition is kept while it is of use."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from stream_app.kafka.placement import partition_of, placement
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.replica import Log, Replica
from tests.builders import settings

SETTINGS = settings()
OF = Log(topic="market.ticks.v1", partition=0, topic_id="T", partitions=1)
MOVING = next(f"S{n}" for n in range(100) if partition_of(f"S{n}".encode(), range(2)) == 1)


def replica(committed: int) -> Replica:
    return Replica(
        PartitionPipeline(
            PredictionSettings.of(SETTINGS), placement=placement(1, key_required=True)
        ),
        committed,
        of=OF,
        placement=partial(placement, key_required=True),
        bar_s=SETTINGS.bar_seconds,
        window_bars=SETTINGS.window_bars,
    )


def test_it_goes_on_to_later_offsets_of_the_same_log_alone() -> None:
    known = replica(40)
    assert known.leads_to(40, OF)
    assert known.leads_to(90, OF)
    assert not known.leads_to(39, OF)
    assert not known.leads_to(90, replace(OF, topic_id="U"))
    assert not known.leads_to(90, replace(OF, partition=1))


def test_it_is_kept_where_partitions_are_added_and_symbols_belong_elsewhere_then() -> None:
    known = replica(40)
    symbol = known.pipeline.pipeline_of(MOVING)
    names = [symbol.name]
    assert known.leads_to(40, replace(OF, partitions=2))
    assert known.pipeline.symbols[MOVING] is symbol
    assert [*names, symbol.name] == [MOVING, f"{MOVING} (partition 0)"], "a state that it has left"
    assert known.leads_to(40, replace(OF, partitions=2))
    assert not known.pipeline.is_home(MOVING)
