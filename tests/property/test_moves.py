"""A symbol that moves goes on as if it had always been where it came to, also through kills."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka import TopicPartition
from hypothesis import event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.kafka.placement import partition_of, placement
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.messages.codec import encode_bar
from stream_app.messages.schemas import Bar, Prediction, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.models.model_set import ModelSet
from stream_app.moving.moves import Moves
from stream_app.moving.partition_counts import PartitionCounts
from stream_app.prediction.observation import HISTORY_LOST
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.local_copies import LocalCopies
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.replica import Log, Replica
from stream_app.recovery.restore import restore_partition
from tests.builders import START_MS, record, settings, walk
from tests.fakes import FeatureMember, model_set
from tests.logs import Logs, Reading

SETTINGS = settings()
TOPICS: Topics = load_topics(SETTINGS.topics_file)
TICKS, BARS = TOPICS.ticks.name, TOPICS.bars.name
WAYS = {
    name: tuple(partition_of(name.encode(), range(count)) for count in (1, 2, 3))
    for name in (f"S{number}" for number in range(200))
}
MOVING = next(name for name, way in WAYS.items() if way[:2] == (0, 1))
STAYING = next(name for name, way in WAYS.items() if way == (0, 0, 0))
STRAYING = [name for name, way in WAYS.items() if way == (0, 1, 0)][1]
"""Some of its producers have not heard of new partitions."""
RETURNING = next(name for name, way in WAYS.items() if way == (0, 1, 0))


SOON = 150
"""Ticks within which bars of all symbols have closed."""


class KilledError(Exception):
    """The worker is gone."""


MODELS: ModelSet = model_set(
    {name: FeatureMember(1e-3) for name in ("random_forest", "lightgbm", "lstm")},
    version="v0",
    trained_to_ts=START_MS,
)


class Cluster:
    """Workers of the real code on logs in memory, one for each partition."""

    def __init__(self, draw: Callable[..., Any], logs: Logs | None = None) -> None:
        self.logs = logs or Logs()
        readers: Any = Reading(self.logs)
        self.access = LogAccess(
            settings=SETTINGS, topics=TOPICS, readers=readers, on_progress=lambda: None
        )
        self.count = 1
        self.committed: dict[int, int] = defaultdict(int)
        self.workers: dict[int, tuple[PartitionPipeline, Moves]] = {}
        self.known: dict[int, PartitionCounts] = {}
        self.draw = draw
        self.moves = 0
        self.said: dict[str, list[Prediction]] = defaultdict(list)
        """By id."""
        self.untold: list[int] = []
        """Workers that have not heard of the new partitions yet."""
        self.pending: deque[Tick] = deque()
        """Ticks that are not sent yet."""
        self.left = math.inf
        """Bars that are published until the worker is killed."""
        self.copies: LocalCopies | None = None
        """On the disk that all of them have, if there is one."""

    async def models(self, _: SymbolPipeline, __: str) -> tuple[ModelSet, ModelSet]:
        return MODELS, MODELS

    async def publish(self, bars: Sequence[Bar], partition: int) -> None:
        for bar in bars:
            if self.left <= 0:
                raise KilledError
            self.left -= 1
            self.logs.append(BARS, partition, bar.symbol.encode(), encode_bar(bar), 0)

    def here(self, name: str) -> SymbolPipeline:
        """A symbol's own state."""
        number = partition_of(name.encode(), range(self.count))
        return self.workers[number][0].symbols[name]

    def of(self, number: int) -> Log:
        return Log(topic=TICKS, partition=number, topic_id="T", partitions=self.count)

    def replica(self, number: int) -> Replica:
        pipeline = PartitionPipeline(
            PredictionSettings.of(SETTINGS),
            partition=number,
            placement=placement(self.count, key_required=True),
        )
        return Replica(
            pipeline,
            self.committed[number],
            of=self.of(number),
            placement=partial(placement, key_required=True),
            bar_s=SETTINGS.bar_seconds,
            window_bars=SETTINGS.window_bars,
            copies=self.copies,
        )

    async def copy(self, number: int) -> None:
        """Copy a partition to the disk, as it is at the commit."""
        assert self.copies is not None
        replica = self.replica(number)
        async with self.access.readers.one() as reader:
            await replica.read_on(reader, BARS, self.access.go_on)
        await replica.settle(self.committed[number], self.access.go_on)
        if await replica.copy_to(self.copies, self.access.go_on) is not None:
            event("copied" if replica.from_copy is None else "copied once more")

    async def start(self, number: int) -> None:
        counts = self.known[number] = PartitionCounts(self.access)
        replica = self.replica(number)
        pipeline = await restore_partition(
            replica,
            self.committed[number],
            self.access,
            load_models=self.models,
            learn=lambda said: counts.learn(self.count, said),
        )
        if replica.from_copy is not None:
            event("restored from a copy")
        moves = Moves(self.access, load_models=self.models, publish=self.publish)
        moves.note_restored(number, replica.log)
        self.workers[number] = pipeline, moves

    async def work(self, number: int, to: int) -> None:
        """Answer ticks up to an offset; may be killed, and then begins again at the commit."""
        while True:
            pipeline, _ = self.workers[number]
            log = self.logs.records[TopicPartition(TICKS, number)]
            batch = log[pipeline.position : min(to, pipeline.position + 1 + self.draw(60))]
            if not batch:
                return
            try:
                work = pipeline.sort(batch)
                if pipeline.unsettled(work):
                    self.left = self.draw(400) if self.draw(3) else math.inf
                    await self.bring(number, work)
                is_told = number or pipeline.position > SOON  # before, no bar names the models
                self.left = self.draw(12) if is_told and not self.draw(9) else math.inf
                for name in work.ticks:
                    pipeline.pipeline_of(name).models = MODELS
                answer = pipeline.answer(work)
                for prediction in answer.predictions:
                    self.said[prediction.id].append(prediction)
                await self.publish(answer.bars, number)
                if self.draw(2):
                    self.committed[number] = pipeline.position
            except KilledError:
                event("killed")
                self.left = math.inf
                if self.copies is not None and self.draw(1):
                    await self.copy(number)
                self.send_some(self.draw(60))
                await self.start(number)

    async def bring(self, number: int, work: SortedRecords) -> None:
        """As a worker that is told now and then to stop, for the group changes, and goes on."""
        pipeline, moves = self.workers[number]
        names = [name for name in pipeline.unsettled(work) if pipeline.is_home(name)]
        before = {name: work.ticks[name][0][1] for name in names}
        while True:
            bringing = asyncio.create_task(moves.bring(pipeline, self.of(number), before))
            if not self.draw(2):
                for _ in range(self.draw(30)):
                    await asyncio.sleep(0)
                if bringing.cancel():
                    event("stopped")
            await asyncio.wait([bringing])
            if not bringing.cancelled():
                break
        pipeline.symbols |= bringing.result()
        for name in names:
            pipeline.pipeline_of(name).residence.home = pipeline.origin.partitions
        for name in pipeline.unsettled(work):
            pipeline.pipeline_of(name)

    async def widen(self, count: int) -> None:
        self.count = count
        self.untold = [number for number in self.workers if not self.draw(1)]
        for number in self.workers.keys() - set(self.untold):
            await self.tell(number)
        for number in range(count):
            if number not in self.workers:
                await self.start(number)

    async def tell(self, number: int) -> None:
        """A worker learns how many partitions there are."""
        pipeline, _ = self.workers[number]
        learned = await self.known[number].learn(self.count)
        pipeline.place(
            placement(self.count, key_required=True), replace(pipeline.origin, counts=learned)
        )

    async def tell_all(self) -> None:
        while self.untold:
            event("told later")
            await self.tell(self.untold.pop())

    def send_some(self, most: int) -> None:
        for _ in range(min(most, len(self.pending))):
            self.send(self.pending.popleft())

    def send(self, tick: Tick) -> None:
        key = tick.symbol.encode()
        known = self.count
        if tick.symbol == STRAYING and self.count > 1:
            known -= self.draw(1)
        self.logs.append(TICKS, partition_of(key, range(known)), key, encode_tick(tick), tick.ts)


def ticks_of(seed: int, count: int) -> Iterator[Tick]:
    rng = np.random.default_rng(seed)
    stamps = START_MS + np.cumsum(rng.exponential(12_000, count)).astype(int)
    prices = np.exp(rng.normal(3, 0.01, count))
    for price, ts in zip(prices, stamps, strict=True):
        name = str(rng.choice([MOVING, STAYING, RETURNING, STRAYING]))
        yield Tick(symbol=name, price=float(price), ts=int(ts))


def same_state(one: SymbolPipeline, two: SymbolPipeline) -> None:
    for column in ("ts_open", "log_close", "log_high", "log_low", "kalman_innovation"):
        left, right = (getattr(each.window.columns(), column) for each in (one, two))
        np.testing.assert_array_equal(left, right)
    assert orjson.dumps(one.window.state()) == orjson.dumps(two.window.state())
    assert one.kalman.to_state() == two.kalman.to_state()
    assert repr(one.record._running.figures()) == repr(two.record._running.figures())
    assert one.record.bias.value == pytest.approx(two.record.bias.value, rel=1e-9)
    np.testing.assert_allclose(one.record.factors, two.record.factors, rtol=1e-6)


def end(cluster: Cluster, number: int) -> int:
    return len(cluster.logs.records[TopicPartition(TICKS, number)])


def symbols_of(cluster: Cluster) -> dict[str, SymbolPipeline]:
    return {
        symbol.name: symbol
        for pipeline, _ in cluster.workers.values()
        for symbol in pipeline.symbols.values()
    }


async def restarted(cluster: Cluster) -> Cluster:
    """The same logs and commits, with workers that know nothing else."""
    other = Cluster(cluster.draw, cluster.logs)
    other.count, other.copies = cluster.count, cluster.copies
    for number, (pipeline, _) in cluster.workers.items():
        other.committed[number] = pipeline.position
        await other.start(number)
    return other


async def run(cluster: Cluster, ticks: list[Tick], cuts: tuple[int, int]) -> None:
    await cluster.start(0)
    bounds = [0, *cuts, len(ticks)]
    for at, (first, last) in enumerate(itertools.pairwise(bounds), start=1):
        if at > 1:
            await cluster.widen(at)
        cluster.pending.extend(ticks[first:last])
        while cluster.pending:
            # Symbols move with a tick that comes once their worker has been told.
            most = len(cluster.pending) // 2 if cluster.untold else 200
            cluster.send_some(min(most, cluster.draw(200)))
            for number in range(cluster.count):
                # Some of it is left unread, also when partitions are added.
                await cluster.work(number, max(0, end(cluster, number) - cluster.draw(30)))
                if cluster.copies is not None and not cluster.draw(3):
                    await cluster.copy(number)
            await cluster.tell_all()
    for number in range(cluster.count):
        await cluster.work(number, end(cluster, number))


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.5), st.floats(0.55, 0.9), st.booleans())
def test_a_symbol_that_moved_goes_on_as_if_it_had_always_been_there(
    tmp_path_factory: pytest.TempPathFactory, seed: int, one: float, two: float, has_disk: bool
) -> None:
    rng = np.random.default_rng(seed)
    cluster = Cluster(lambda most: int(rng.integers(0, most + 1)))
    if has_disk:
        cluster.copies = LocalCopies(tmp_path_factory.mktemp("data"), BARS, "test")
    ticks = list(ticks_of(seed, 900))
    asyncio.run(run(cluster, ticks, (int(900 * one), int(900 * two))))
    again = asyncio.run(restarted(cluster))
    if cluster.copies is not None:
        cluster.copies = None
        for name, symbol in symbols_of(asyncio.run(restarted(cluster))).items():
            same_state(symbol, symbols_of(again)[name])
    assert len(cluster.said) == len(ticks)
    for first, *others in cluster.said.values():
        if first.symbol in (RETURNING, STRAYING) and first.source.partition == 0:
            continue  # from before it came back, again after a kill: by the state that has come
        for other in others:
            assert other.prediction == pytest.approx(first.prediction, rel=1e-6)
            assert other.members.keys() == first.members.keys()
    undisturbed = PartitionPipeline(PredictionSettings.of(SETTINGS))
    for name in (MOVING, STAYING, RETURNING):
        undisturbed.pipeline_of(name).models = MODELS
    for offset, tick in enumerate(ticks):
        made = record(offset, tick)
        made.timestamp = tick.ts
        undisturbed.process([made])
    for name in (MOVING, STAYING, RETURNING):
        same_state(undisturbed.symbols[name], cluster.here(name))
    for name in (MOVING, STAYING, RETURNING, STRAYING):
        assert cluster.here(name).name == name
        same_state(cluster.here(name), again.here(name))


async def test_after_a_restart_too_the_bar_that_had_begun_is_no_news_where_the_symbol_was() -> None:
    """Its ticks are gone through again after the state of the bar before it."""
    cluster = Cluster(lambda most: most)
    ticks = list(walk(60, symbol=MOVING))

    async def answer(tick: Tick) -> int:
        """By who has the old partition; returns how many bars there are."""
        cluster.logs.append(TICKS, 0, MOVING.encode(), encode_tick(tick), tick.ts)
        await cluster.work(0, end(cluster, 0))
        return len(cluster.logs.records[TopicPartition(BARS, 0)])

    await cluster.start(0)
    bars = [await answer(tick) for tick in ticks[:44]]
    assert bars[-3] == bars[-1], "two ticks are in a bar that is not closed"
    await cluster.widen(2)
    await cluster.start(0)
    late = iter(ticks[44:])
    while await answer(next(late)) == bars[-1]:
        pass
    state = cluster.workers[0][0].symbols[MOVING]
    assert not state.residence.is_home
    assert not state.has_news


async def test_a_symbol_whose_last_state_is_of_no_use_comes_without_its_history(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As after a restart: otherwise each worker that is given the partition would end."""
    cluster = Cluster(lambda most: most)
    *ticks, last = walk(45, symbol=MOVING)

    async def answer(ticks: Iterable[Tick]) -> None:
        for tick in ticks:
            cluster.send(tick)
        await cluster.work(0, end(cluster, 0))

    await cluster.start(0)
    await answer(ticks)
    bars = cluster.logs.records[TopicPartition(BARS, 0)]
    too_large = (bars[-1].value or b"").replace(b'"state":{', b'"state":{"x":1e999,')
    cluster.logs.append(BARS, 0, MOVING.encode(), too_large, 0)
    await answer(walk(45, symbol=STAYING))
    await cluster.widen(2)
    await cluster.tell_all()
    cluster.send(last)
    await cluster.work(1, end(cluster, 1))
    (answered,) = list(cluster.said.values())[-1]
    assert answered.source.partition == 1
    assert HISTORY_LOST in answered.degraded
    assert f"{MOVING}: its last bar has no usable state" in caplog.text


async def test_what_was_sent_before_the_group_changed_is_what_the_symbol_goes_on_with() -> None:
    """A restart finds it, and must give the same answers."""
    cluster = Cluster(lambda most: most)
    names = [name for name, way in WAYS.items() if way[:2] == (0, 1)][:2]
    ticks = [list(walk(60, symbol=name, seed=at)) for at, name in enumerate(names)]
    await cluster.start(0)
    for tick in [*ticks[0][:44], *ticks[1][:44]]:
        cluster.send(tick)
    await cluster.work(0, end(cluster, 0))
    await cluster.widen(2)
    await cluster.tell_all()
    cluster.send(ticks[0][50])
    cluster.send(ticks[1][50])
    pipeline, moves = cluster.workers[1]
    before = {name: at for at, name in enumerate(names)}
    sent = len(cluster.logs.records[TopicPartition(BARS, 0)])
    cluster.left = sent // 2
    with pytest.raises(KilledError):
        await moves.bring(pipeline, cluster.of(1), before)
    cluster.left = math.inf
    late = ticks[0][45]
    cluster.logs.append(TICKS, 0, late.symbol.encode(), encode_tick(late), late.ts)
    brought = await moves.bring(pipeline, cluster.of(1), before)
    cluster.committed[1] = 0
    again = await restarted(cluster)
    pipeline, moves = again.workers[1]
    found = pipeline.symbols | await moves.bring(pipeline, again.of(1), {names[1]: 1})
    for name in names:
        same_state(brought[name], found[name])
