"""No batch is answered by a state that has not seen what lies before it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.kafka.place import Place
from stream_app.kafka.placement import partition_of
from stream_app.kafka.topic_check import load_topics
from stream_app.kafka.topic_ids import KnownTopic
from stream_app.messages.schemas import Bar
from stream_app.moving import symbol_places as places_module
from stream_app.prediction.observation import MISPLACED
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery import log_access as access_module
from stream_app.recovery.log_access import LogAccess, Readers
from stream_app.sharing.reports import Share
from stream_app.worker import commits as commits_module
from stream_app.worker import takeovers as takeovers_module
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.ledger import Batch
from stream_app.worker.partitions import Partitions
from stream_app.worker.takeovers import Takeovers
from tests.builders import records, settings, walk

TICKS = TP("market.ticks.v1", 0)


class Told(Takeovers):
    """The broker's answers are given."""

    def __init__(self, standing: Standing, of: Takeovers) -> None:
        super().__init__(
            of._access, commits=of._commits, places=of._places, load_models=of._load_models
        )
        self._standing = standing

    async def committed(self, number: int) -> int:
        return self._standing.committed

    async def restore(self, number: int, committed: int, known: Any) -> PartitionPipeline:
        self._standing.restored_at.append(committed)
        return self._standing.standing_at(committed)

    async def look_for_loss(self, pipeline: PartitionPipeline, batch: Batch) -> None:
        self._standing.looked_for_loss.append(batch.first_offset)


class Standing(Partitions):
    """The real decisions; the broker's answers are given."""

    def __init__(self, *, position: int | None, committed: int = 0) -> None:
        chosen = settings()
        self.read_again_from: list[int] = []
        self.restored_at: list[int] = []
        self.looked_for_loss: list[int] = []
        self.joins = 0
        super().__init__(
            LogAccess(
                settings=chosen,
                topics=load_topics(Path(chosen.topics_file)),
                readers=Readers({}),
                on_progress=lambda: None,
            ),
            consumer=ConsumerActions(
                read_again=self.read_again_from.append,
                hold=lambda batch: pytest.fail(f"{batch} waits"),
                release=lambda _: None,
                commit=self._note_commit,
                join_again=self._note_join,
            ),
            load_models=self._no_models,
            have_models=lambda _: True,
            publish_bars=self._note_bars,
            on_restored=lambda: None,
            on_settled=lambda: None,
            fail=lambda error: pytest.fail(str(error)),
        )
        self._pipelines._takeovers = Told(self, self._takeovers)
        self._assigned = frozenset({0})
        self.committed = committed
        if position is not None:
            self._pipelines.of[0] = self.standing_at(position)

    def standing_at(self, position: int) -> PartitionPipeline:
        pipeline = PartitionPipeline(PredictionSettings.of(self._access.settings))
        pipeline.position = position
        return pipeline

    async def _no_models(self, _pipeline: SymbolPipeline, _version: str) -> tuple[None, None]:
        return None, None

    async def _note_commit(self, number: int, offset: int) -> None:
        self.committed = offset

    async def _note_bars(self, bars: Sequence[Bar], number: int) -> None:
        raise AssertionError("nothing moves")

    async def _note_join(self) -> None:
        self.joins += 1


async def none_known(_count: int) -> set[int]:
    """No bar says how many partitions there were."""
    return set()


def batch(first: int, *, read_from: int, last: int | None = None) -> Batch:
    offsets = range(first, (first if last is None else last) + 1)
    records: Any = tuple(SimpleNamespace(offset=offset) for offset in offsets)
    return Batch(TICKS, records, read_from=read_from)


async def test_the_batch_that_follows_is_answered() -> None:
    partitions = Standing(position=40, committed=40)
    assert await partitions.pipeline(batch(40, read_from=40)) is partitions._pipelines.of[0]
    assert partitions.read_again_from == partitions.restored_at == []


@pytest.mark.parametrize("committed", [0, 40], ids=["no commit", "commit at the position"])
async def test_a_batch_from_beyond_the_position_is_refused_and_read_again(
    committed: int, caplog: pytest.LogCaptureFixture
) -> None:
    partitions = Standing(position=40, committed=committed)
    with caplog.at_level(logging.WARNING):
        assert await partitions.pipeline(batch(60, read_from=60)) is None
    assert partitions.read_again_from == [0]
    assert partitions.restored_at == []
    assert "begins at offset 60, but the ticks from 40 on are not answered" in caplog.text


@pytest.mark.parametrize("committed", [0, 40], ids=["no commit", "commit at the position"])
async def test_a_gap_that_was_read_and_holds_no_record_is_answered(committed: int) -> None:
    """Compaction and control records leave offsets that no consumer is given."""
    partitions = Standing(position=40, committed=committed)
    assert await partitions.pipeline(batch(60, read_from=40)) is partitions._pipelines.of[0]
    assert partitions.read_again_from == partitions.restored_at == []


async def test_a_gap_of_which_only_the_end_was_read_is_refused() -> None:
    partitions = Standing(position=40)
    assert await partitions.pipeline(batch(60, read_from=41)) is None
    assert partitions.read_again_from == [0]


async def test_a_long_gap_is_looked_into_for_ticks_that_retention_has_removed() -> None:
    partitions = Standing(position=40, committed=40)
    assert await partitions.pipeline(batch(900, read_from=40)) is partitions._pipelines.of[0]
    assert partitions.looked_for_loss == [900]


async def test_where_all_before_the_batch_is_committed_the_state_catches_up() -> None:
    partitions = Standing(position=40, committed=60)
    answering = await partitions.pipeline(batch(60, read_from=60))
    assert partitions.read_again_from == []
    assert partitions.restored_at == [60]
    assert answering is partitions._pipelines.of[0]


async def test_where_a_part_before_the_batch_is_committed_it_is_refused() -> None:
    partitions = Standing(position=40, committed=59)
    assert await partitions.pipeline(batch(60, read_from=60)) is None
    assert partitions.read_again_from == [0]


async def test_a_batch_from_before_the_position_takes_the_state_back() -> None:
    partitions = Standing(position=40, committed=20)
    answering = await partitions.pipeline(batch(20, read_from=20))
    assert partitions.restored_at == [20]
    assert answering is partitions._pipelines.of[0]


async def test_one_that_has_answered_beyond_the_commit_commits_and_goes_on() -> None:
    partitions = Standing(position=40)
    partitions.note_answered(batch(0, read_from=0, last=39))
    await partitions._pipelines.bring_back(place(committed=30, end=50))
    assert partitions.committed == 40
    assert partitions.read_again_from == [0]
    assert partitions.restored_at == []


@pytest.mark.parametrize(
    ("answered", "end"), [(None, 50), (35, 50), (40, 38)], ids=["none", "not all", "log cut"]
)
async def test_one_whose_answers_are_not_all_acknowledged_is_restored(
    answered: int | None, end: int
) -> None:
    partitions = Standing(position=40)
    if answered is not None:
        partitions.note_answered(batch(0, read_from=0, last=answered - 1))
    await partitions._pipelines.bring_back(place(committed=30, end=end))
    assert partitions.restored_at == [30]
    assert partitions.read_again_from == []


async def test_one_that_another_worker_has_gone_beyond_is_restored() -> None:
    partitions = Standing(position=40)
    partitions.note_answered(batch(0, read_from=0, last=39))
    await partitions._pipelines.bring_back(place(committed=45, end=50))
    assert partitions.restored_at == [45]


async def test_what_is_to_come_is_asked_for_once_it_is_warm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partitions = Standing(position=None)
    share = Share(standby=frozenset({1, 2}), coming=frozenset({1}), workers=2)
    partitions.on_assigned([], share, generation=1)
    assert partitions.report().following == {1, 2}
    for warm, joins in [({2}, 0), ({1, 2}, 1), ({1, 2}, 1)]:
        monkeypatch.setattr(partitions.standbys, "warm", frozenset(warm))
        partitions._note_warm()
        await asyncio.sleep(0)
        assert partitions.joins == joins
    assert partitions.report().ready == {1, 2}


async def test_what_became_warm_after_it_joined_is_asked_for_at_the_assignment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The group divided by what it had said before, and a rejoin asked for meanwhile is lost."""
    partitions = Standing(position=None)
    share = Share(standby=frozenset({1}), coming=frozenset({1}), workers=2)
    partitions.on_assigned([], share, generation=1)
    partitions.on_revoked()
    assert partitions.report().ready == frozenset()
    monkeypatch.setattr(partitions.standbys, "warm", frozenset({1}))
    partitions._note_warm()
    await asyncio.sleep(0)
    monkeypatch.setattr(partitions.standbys, "_note_warm", lambda: None)
    partitions.joins = 0
    partitions.on_assigned([], share, generation=2)
    await asyncio.sleep(0)
    assert partitions.joins == 1


@pytest.mark.parametrize(
    ("generation", "answered", "kept"),
    [(8, 40, {0: 40}), (9, 40, {}), (7, 40, {}), (8, 30, {}), (8, None, {})],
    ids=["next", "one was missed", "the same", "an answer is on its way", "nothing is answered"],
)
async def test_what_stayed_goes_on_where_it_is_if_nobody_else_can_have_had_it(
    generation: int, answered: int | None, kept: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def ask(numbers: Sequence[int]) -> dict[int, Place]:
        asked.extend(numbers)
        return {number: place(committed=40) for number in numbers}

    partitions = Standing(position=40)
    monkeypatch.setattr(partitions._takeovers, "places", ask)
    partitions._membership._generation = 7
    if answered is not None:
        partitions.note_answered(batch(0, read_from=0, last=answered - 1))
    assert partitions.on_assigned([0, 1], Share(), generation=generation) == kept
    await asyncio.gather(*partitions._restoring.values())
    assert set(asked) == {0, 1} - kept.keys()


@pytest.mark.parametrize("workers", [1, 2])
async def test_only_what_a_worker_that_is_alone_is_first_given_is_a_start(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others had until now has models that may be fresh."""

    async def ask(numbers: Sequence[int]) -> dict[int, Place]:
        return {number: place(committed=40) for number in numbers}

    partitions = Standing(position=None, committed=40)
    partitions._assigned = None
    monkeypatch.setattr(partitions._takeovers, "places", ask)
    assert partitions.is_starting
    partitions.on_assigned([0], Share(workers=workers), generation=1)
    assert partitions.is_starting == (workers == 1)
    await asyncio.gather(*partitions._restoring.values())
    await asyncio.sleep(0)
    assert partitions.is_ready
    assert not partitions.is_starting


@pytest.mark.parametrize("is_end", [True, False], ids=["the worker ends", "all went elsewhere"])
async def test_where_the_group_stands_is_asked_no_more_once_nobody_waits_for_it(
    is_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be asked for through an outage without end, and its error be nobody's."""
    given_up = asyncio.Event()

    async def ask(_numbers: Sequence[int]) -> dict[int, Place]:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return {}

    partitions = Standing(position=None)
    monkeypatch.setattr(partitions._takeovers, "places", ask)
    partitions.on_assigned([0, 1], Share(), generation=1)
    await asyncio.sleep(0)
    partitions.on_assigned([1], Share(), generation=2)
    await asyncio.sleep(0.01)
    assert not given_up.is_set()
    if is_end:
        await partitions.close()
    else:
        partitions.on_assigned([], Share(), generation=3)
    async with asyncio.timeout(1.0):
        await given_up.wait()


async def test_what_was_restored_and_has_answered_nothing_since_goes_on_too() -> None:
    partitions = Standing(position=None)
    partitions._pipelines.of[0] = partitions.standing_at(40)
    partitions._pipelines._answered[0] = 40
    assert partitions.on_assigned([0], Share(), generation=1) == {0: 40}


async def test_what_is_going_is_told_apart_from_what_stays() -> None:
    partitions = Standing(position=40)
    partitions._pipelines.of[1] = partitions.standing_at(3)
    partitions._membership.share = Share(partitions=frozenset({0, 1}), going=frozenset({1, 5}))
    assert partitions.going() == {1: partitions._pipelines.of[1]}


async def test_a_batch_of_a_partition_that_went_elsewhere_is_left_to_the_other_worker() -> None:
    partitions = Standing(position=None)
    partitions._assigned = frozenset()
    assert await partitions.pipeline(batch(0, read_from=0)) is None
    assert partitions.read_again_from == partitions.restored_at == []


def place(**changes: Any) -> Place:
    given: dict[str, Any] = {
        "topic": TICKS.topic,
        "group": "stream-app",
        "partition": 0,
        "topic_id": "ONE",
        "first": 0,
        "end": 100,
        "committed": None,
        "committed_topic_id": "",
    }
    return Place(**{**given, **changes})


def bars_cover(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    async def covered(*_: Any) -> int:
        return offset

    monkeypatch.setattr(commits_module, "read_coverage", covered)


async def test_without_a_commit_it_goes_on_from_what_the_bars_cover_and_commits_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bars_cover(monkeypatch, 60)
    partitions = Standing(position=None)
    with caplog.at_level(logging.WARNING):
        assert await partitions._commits.start(place()) == 60
    assert partitions.committed == 60
    assert partitions.read_again_from == [0]
    assert "the group stream-app has committed no offset, but bars cover" in caplog.text


@pytest.mark.parametrize("covered", [0, 20], ids=["no bars", "bars of what retention removed"])
async def test_without_a_commit_and_with_nothing_covered_it_begins_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, covered: int
) -> None:
    bars_cover(monkeypatch, covered)
    partitions = Standing(position=None, committed=-1)
    with caplog.at_level(logging.WARNING):
        assert await partitions._commits.start(place(first=30)) == 30
    assert partitions.committed == -1
    assert partitions.read_again_from == []
    assert not caplog.records


async def test_a_commit_is_believed_whatever_the_bars_say(monkeypatch: pytest.MonkeyPatch) -> None:
    bars_cover(monkeypatch, 60)
    partitions = Standing(position=None)
    assert await partitions._commits.start(place(committed=10)) == 10
    assert partitions.read_again_from == []


async def test_a_batch_that_became_void_while_it_waited_is_not_answered() -> None:
    partitions = Standing(position=40, committed=40)
    waiting = batch(40, read_from=40)
    waiting.is_void = True
    assert await partitions.pipeline(waiting) is None


async def test_where_ticks_belong_follows_the_brokers_partitions_not_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Partitions are added while it runs, and topics.yaml was read at the start."""
    counts: list[int] = []

    def noted(count: int, *, key_required: bool) -> Any:
        counts.append(count)
        return lambda _symbol: (0,)

    class View:
        async def known_topic(self, _other: str | None = None) -> KnownTopic:
            return KnownTopic(topic_id="ONE", partitions=6)

        async def places(self, _topic: KnownTopic, numbers: list[int]) -> dict[int, Place]:
            return {number: place() for number in numbers}

    @asynccontextmanager
    async def open_view(*_: Any, **__: Any) -> AsyncIterator[View]:
        yield View()

    async def nothing(*_: Any, **__: Any) -> PartitionPipeline:
        return partitions.standing_at(0)

    monkeypatch.setattr(places_module, "placement", noted)
    monkeypatch.setattr(access_module, "open_group", open_view)
    monkeypatch.setattr(takeovers_module, "restore_partition", nothing)
    partitions = Standing(position=None)
    monkeypatch.setattr(partitions.places._counts, "_read_newest", none_known)
    await partitions._commits.places([0])
    await partitions._takeovers.restore(0, 0, lambda: None)
    assert set(counts) == {6}


async def test_the_count_is_asked_for_when_a_symbol_comes_where_it_does_not_belong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partitions, asked = Standing(position=0), []

    async def ask() -> None:
        asked.append(partitions.places._asked_s)

    monkeypatch.setattr(partitions.places, "_ask_count", ask)
    pipeline = PartitionPipeline(
        PredictionSettings.of(settings()), partition=0, placement=lambda _: (1,)
    )
    pipeline.origin = Origin(counts=(1, 2))
    work = pipeline.sort(records(walk(1)))

    async def waits() -> bool:
        """Whether a batch with the symbol waits; it is answered then."""
        lacking = partitions.places.install(pipeline, work, 0)
        if lacking is not None:
            await partitions.places.bring(pipeline, work, lacking, partitions._takeovers.log_of, 0)
            assert partitions.places.install(pipeline, work, 0) is None
        pipeline.pipeline_of("BTC")
        return lacking is not None

    assert await waits()
    assert len(asked) == 1
    assert not await waits(), "by another partitioner, for good"
    pipeline.symbols["BTC"].residence.home = 1
    assert not await waits(), "it came just before"
    partitions.places._strays[0, "BTC"] -= 2 * places_module.STRAYS_FOR_S
    partitions.places._asked_s = asyncio.get_running_loop().time()
    assert not await waits(), "it was asked just before"
    assert len(asked) == 1
    partitions.places._strays[0, "BTC"] -= 2 * places_module.STRAYS_FOR_S
    partitions.places._asked_s -= 2 * places_module.ASK_EVERY_S
    assert await waits(), "it may belong here again"
    assert len(asked) == 2


async def test_a_new_count_renames_what_symbols_have_left_and_is_in_their_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partitions = Standing(position=0)

    monkeypatch.setattr(partitions.places._counts, "_read_newest", none_known)
    await partitions.places._counts.learn(1)
    partitions.places.count = 1
    pipeline = partitions._pipelines.of[0]
    symbol = next(
        name for number in range(99) if partition_of((name := f"S{number}").encode(), range(2))
    )
    sent = list(walk(80, symbol=symbol))
    pipeline.process(records(sent[:40]))
    pipeline.symbols[symbol].residence.home = 1
    await partitions.places.note_count(2)
    await asyncio.sleep(0)
    assert partitions.joins == 1, "nobody has the new partition yet"
    (name,) = partitions.symbols()
    assert name == f"{symbol} (partition 0)"
    assert not pipeline.symbols[symbol].has_news, "it is trained where it went"
    late_producer = itertools.count(40)
    while not pipeline.process(records([sent[at := next(late_producer)]], at)).bars:
        pass
    assert not pipeline.symbols[symbol].has_news, "the bar that closed had begun before"
    answer = pipeline.process(records(sent[at + 1 :], at + 1))
    assert all(MISPLACED in item.degraded for item in answer.predictions)
    assert answer.bars[-1].state["counts"] == (1, 2)
    assert answer.bars[-1].state["home"] == 1
    assert pipeline.symbols[symbol].has_news, "a bar of it has closed here"


async def test_a_count_that_came_with_the_partitions_is_no_news_to_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partitions = Standing(position=0)
    monkeypatch.setattr(partitions.places._counts, "_read_newest", none_known)
    await partitions.places._counts.learn(1)
    partitions.places.count = 1
    await partitions._commits._note_count(2)
    await asyncio.sleep(0)
    assert (partitions.places.count, partitions.joins) == (2, 0)


async def test_a_partition_that_goes_while_a_batch_has_it_restored_does_not_come_back() -> None:
    partitions = Standing(position=40, committed=40)
    may_end = asyncio.Event()

    async def slow(_number: int, committed: int, _known: Any) -> PartitionPipeline:
        await may_end.wait()
        return partitions.standing_at(committed)

    takeovers: Any = partitions._pipelines._takeovers
    takeovers.restore = slow
    given = batch(20, read_from=20)  # read again from an earlier commit
    asked = asyncio.create_task(partitions.pipeline(given))
    await asyncio.sleep(0)
    partitions.on_revoked()
    given.is_void = True
    partitions.on_assigned([], Share(), generation=1)
    may_end.set()
    assert await asked is None
    assert partitions.restored() == {}
    assert partitions.report().ready == frozenset()


async def test_what_begins_to_move_while_the_group_changes_is_given_up() -> None:
    partitions = Standing(position=40, committed=40)
    never = asyncio.Event()

    async def bring(*_: Any) -> None:
        await never.wait()

    settling = partitions._settling
    places: Any = SimpleNamespace(install=lambda *_: object(), bring=bring)
    settling._places, settling._hold = places, lambda _: None
    partitions.on_revoked()
    nothing: Any = None
    assert not partitions.may_answer(partitions._pipelines.of[0], batch(40, read_from=40), nothing)
    await asyncio.sleep(0)
    partitions.on_assigned([], Share(), generation=1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert settling._tasks == {}
