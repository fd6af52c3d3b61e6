from __future__ import annotations

import pytest

from stream_app.kafka.placement import partition_of, placement
from stream_app.prediction.observation import MISPLACED
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import records, settings, walk


@pytest.mark.parametrize(
    ("key", "murmur2"),
    # From Kafka's own UtilsTest.java: Utils.murmur2.
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
     ("a-little-bit-longer-string", -1486304829),
     ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)],
)  # fmt: skip
def test_a_key_is_where_javas_client_sends_it(key: str, murmur2: int) -> None:
    for count in (1, 4, 7):
        assert partition_of(key.encode(), range(count)) == (murmur2 & 0x7FFFFFFF) % count


def test_a_symbol_belongs_where_its_key_does() -> None:
    assert placement(4, key_required=True)("BTC-USD") == (partition_of(b"BTC-USD", range(4)),)


@pytest.mark.parametrize(("symbol", "key"), [("A", b'"A"'), ("\u5e73", '"\u5e73"'.encode())])
def test_a_key_in_quotes_is_one_of_the_symbol_where_keys_are_ignored(
    symbol: str, key: bytes
) -> None:
    partitions = placement(64, key_required=False)(symbol)
    assert partitions[0] == partition_of(symbol.encode(), range(64))
    assert partition_of(key, range(64)) in partitions
    assert partition_of(key, range(64)) not in placement(64, key_required=True)(symbol)


def answered(partition: int, places: tuple[int, ...]) -> PartitionPipeline:
    pipeline = PartitionPipeline(
        PredictionSettings.of(settings()), partition=partition, placement=lambda _: places
    )
    for prediction in pipeline.process(records(walk(8, symbol="BTC"))).predictions:
        assert (MISPLACED in prediction.degraded) is (partition not in places)
    return pipeline


def test_a_state_elsewhere_has_a_name_of_its_own_and_only_a_misplaced_one_says_so() -> None:
    assert answered(1, (1,)).symbols["BTC"].name == "BTC"
    assert answered(3, (1,)).symbols["BTC"].name == "BTC (partition 3)"
    # As a key in quotes it is in its place; but only one partition's state has the bare name.
    assert answered(3, (1, 3)).symbols["BTC"].name == "BTC (partition 3)"
