"""A replica that begins with the copy on the disk is as one that has read all bars."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka.placement import placement
from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.copy_parts import SymbolPart, maker
from stream_app.recovery.local_copies import LocalCopies, NewCopy
from stream_app.recovery.replica import Log, Replica
from stream_app.registry.disk import open_regular
from tests.builders import START_MS, records, settings, walk
from tests.fakes import FeatureMember, model_set
from tests.logs import Logs

SETTINGS = settings(horizon_bars=3)
TICKS, BARS = TopicPartition("market.ticks.v1", 0), TopicPartition("market.bars.v1", 0)
COUNT = 4000


def published(answer: float = 1e-3) -> Logs:
    """Bars of two symbols, by turns."""
    logs = Logs()
    pipeline = PartitionPipeline(PredictionSettings.of(SETTINGS))
    members = {name: FeatureMember(answer) for name in ("random_forest", "lightgbm", "lstm")}
    for name in ("BTC", "ETH"):
        pipeline.pipeline_of(name).models = model_set(members, trained_to_ts=START_MS)
    both = zip(walk(COUNT // 2), walk(COUNT // 2, symbol="ETH", seed=2), strict=True)
    for bar in pipeline.process(records(tick for two in both for tick in two)).bars:
        logs.append(BARS.topic, 0, bar.symbol.encode(), encode_bar(bar), bar.ts_last)
    return logs


LOGS = published()


async def go_on() -> bool:
    return True


def replica(committed: int, copies: LocalCopies | None, *, topic_id: str = "T") -> Replica:
    """One that has read nothing yet."""
    return Replica(
        PartitionPipeline(
            PredictionSettings.of(SETTINGS), placement=placement(1, key_required=True)
        ),
        committed,
        of=Log(topic=TICKS.topic, partition=0, topic_id=topic_id, partitions=1),
        placement=lambda count: placement(count, key_required=True),
        bar_s=SETTINGS.bar_seconds,
        window_bars=SETTINGS.window_bars,
        copies=copies,
    )


async def read(
    committed: int,
    *,
    copies: LocalCopies | None,
    logs: Logs = LOGS,
    topic_id: str = "T",
) -> Replica:
    """A replica that is settled at a commit."""
    found = replica(committed, copies, topic_id=topic_id)
    reader: Any = logs
    await found.read_on(reader, BARS.topic, go_on)
    await found.settle(committed, go_on)
    return found


def content(found: Replica) -> list[bytes]:
    """All that a restart takes from it."""
    state = found.log.state()
    assert state is not None
    symbols = sorted(found.pipeline.symbols.items())
    return [
        repr(state).encode(),
        *(SymbolPart.made(name, each.recalled()).packed() for name, each in symbols),
    ]


@pytest.fixture
def copies(tmp_path: Path) -> LocalCopies:
    return LocalCopies(tmp_path, BARS.topic, maker(TICKS.topic, PredictionSettings.of(SETTINGS)))


@pytest.fixture
async def copied(copies: LocalCopies) -> LocalCopies:
    """With a copy that was made at half of the ticks."""
    assert await (await read(COUNT // 2, copies=None)).copy_to(copies, go_on) is not None
    return copies


async def test_it_is_as_one_that_has_read_all_bars(copied: LocalCopies) -> None:
    for committed in (COUNT // 2, COUNT // 2 + 700, COUNT):
        short = await read(committed, copies=copied)
        assert short.from_copy is not None
        assert content(short) == content(await read(committed, copies=None))


async def test_it_reads_the_later_bars_alone(copied: LocalCopies) -> None:
    at_half = (await read(COUNT // 2, copies=None)).bars
    logs = Logs()
    logs.records[BARS] = list(LOGS.records[BARS])
    seen: list[int] = []
    getmany = logs.getmany

    async def watched(tp: TopicPartition, **given: Any) -> dict[Any, list[Any]]:
        found = await getmany(tp, **given)
        seen.extend(record.offset for records in found.values() for record in records)
        return found

    logs.getmany = watched  # type: ignore[method-assign]
    short = await read(COUNT, copies=copied, logs=logs)
    assert short.from_copy is not None
    assert short.bars > at_half
    later = [offset for offset in set(seen) if offset < short.from_copy.position]
    assert later == []


async def test_a_copy_of_a_copy_is_one_of_all_bars(copied: LocalCopies, tmp_path: Path) -> None:
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is not None
    at_once = LocalCopies(tmp_path / "other", BARS.topic, copied.made_by)
    assert await (await read(COUNT, copies=None)).copy_to(at_once, go_on) is not None
    assert copied.path(0).read_bytes()[:64] == at_once.path(0).read_bytes()[:64]
    assert content(await read(COUNT, copies=copied)) == content(await read(COUNT, copies=at_once))


async def test_nothing_new_is_no_reason_for_a_copy(copied: LocalCopies) -> None:
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is not None
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is None


async def test_a_symbol_whose_bars_retention_has_removed_is_forgotten(copies: LocalCopies) -> None:
    """As by one that reads all bars: otherwise symbols that are gone would be kept for ever."""
    assert await (await read(COUNT, copies=None)).copy_to(copies, go_on) is not None
    logs, newest = Logs(), {each.key: each.offset for each in LOGS.records[BARS]}
    logs.records[BARS] = LOGS.records[BARS]
    logs.firsts[BARS] = min(newest.values()) + 1
    short = await read(COUNT, copies=copies, logs=logs)
    whole = await read(COUNT, copies=None, logs=logs)
    assert short.from_copy is not None
    assert len(short.pipeline.symbols) == 1
    assert short.pipeline.symbols.keys() == whole.pipeline.symbols.keys()
    assert short.log.covered() == whole.log.covered()
    assert short.log.with_gap() == whole.log.with_gap()


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _changed(path: Path, change: Callable[[str, bytes], bytes], method: int) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            if (changed := change(name, content)) is not None:
                file.writestr(name, changed)


def _marked(path: Path, at: int, bits: int) -> None:
    """Set bits of what the list of the file's members says of the head."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"head")) + at] |= bits
    path.write_bytes(bytes(content))


def _encrypted(path: Path) -> None:
    _marked(path, 8, 1)


def _of_a_later_zip(path: Path) -> None:
    _marked(path, 6, 0x80)


def _compressed(path: Path) -> None:
    _changed(path, lambda _, content: content, zipfile.ZIP_DEFLATED)


def _without_a_symbol(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist() if name != "1"}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def _of_another_form(path: Path) -> None:
    _changed(path, lambda name, content: b"\x80" if name == "1" else content, zipfile.ZIP_STORED)


def _of_other_arrays(path: Path) -> None:
    def shorter(name: str, content: bytes) -> bytes:
        if name != "0":
            return content
        part = SymbolPart.of(content)
        part.scored.pop()
        return part.packed()

    _changed(path, shorter, zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _emptied,
        _flipped,
        _link,
        _pipe,
        _folder,
        _compressed,
        _encrypted,
        _of_a_later_zip,
        _without_a_symbol,
        _of_another_form,
        _of_other_arrays,
    ],
)
async def test_a_copy_that_is_not_as_it_was_written_is_left_aside_with_a_line(
    copied: LocalCopies, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(copied.path(0))
    whole = await read(COUNT, copies=copied)
    assert whole.from_copy is None
    assert content(whole) == content(await read(COUNT, copies=None))
    (line,) = caplog.messages
    assert line.startswith(f"partition 0: its copy in {copied.path(0)} is of no use (")
    assert line.endswith("reading all of its bars")


async def test_only_another_thread_waits_for_the_disk(
    copied: LocalCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it begins with a file: ticks wait for the event loop, and a disk may be slow."""
    mkdir = Path.mkdir
    threads: list[threading.Thread] = []

    def opened(path: Path) -> Any:
        threads.append(threading.current_thread())
        return open_regular(path)

    def made(path: Path, **given: Any) -> None:
        threads.append(threading.current_thread())
        mkdir(path, **given)

    monkeypatch.setattr("stream_app.recovery.local_copies.open_regular", opened)
    monkeypatch.setattr(Path, "mkdir", made)
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is not None
    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_an_outage_of_the_broker_costs_no_copy(
    copied: LocalCopies, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby goes on with the replica that it has."""
    logs, begun = Logs(), replica(COUNT, copied)
    logs.records[BARS] = LOGS.records[BARS]
    end_offsets = logs.end_offsets

    async def away(partitions: list[TopicPartition]) -> dict[Any, int]:
        logs.end_offsets = end_offsets  # type: ignore[method-assign]
        raise KafkaConnectionError

    logs.end_offsets = away  # type: ignore[method-assign]
    reader: Any = logs
    with pytest.raises(KafkaConnectionError):
        await begun.read_on(reader, BARS.topic, go_on)
    await begun.read_on(reader, BARS.topic, go_on)
    assert begun.from_copy is not None
    assert caplog.messages == []


async def test_no_copy_of_other_settings_another_topic_or_a_later_commit_is_taken(
    copied: LocalCopies, caplog: pytest.LogCaptureFixture
) -> None:
    other = PredictionSettings.of(settings(horizon_bars=1))
    elsewhere = LocalCopies(copied.path(0).parents[1], BARS.topic, maker(TICKS.topic, other))
    assert (await read(COUNT, copies=elsewhere)).from_copy is None
    assert (await read(COUNT, copies=copied, topic_id="U")).from_copy is None
    assert (await read(COUNT // 2 - 1, copies=copied)).from_copy is None
    assert caplog.messages == []


async def test_no_copy_of_a_topic_of_bars_that_was_recreated_is_taken(copied: LocalCopies) -> None:
    logs, shorter = Logs(), Logs()
    logs.records[BARS] = [
        type(record)(**{**_fields(record), "value": (record.value or b"") + b" "})
        for record in LOGS.records[BARS]
    ]
    shorter.records[BARS] = LOGS.records[BARS][:100]
    for anew in (logs, shorter):
        found = await read(COUNT, copies=copied, logs=anew)
        assert found.from_copy is None
        assert content(found) == content(await read(COUNT, copies=None, logs=anew))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


async def test_a_clock_that_has_lost_its_time_is_no_obstacle(
    copied: LocalCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip file holds no year before 1980."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is not None
    assert (await read(COUNT, copies=copied)).from_copy is not None


async def test_what_a_killed_writer_left_goes_after_an_hour(copied: LocalCopies) -> None:
    folder = copied.path(0).parent
    old, new = folder / ".old.part", folder / ".new.part"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 3700,) * 2)
    assert await (await read(COUNT, copies=copied)).copy_to(copied, go_on) is not None
    assert sorted(path.name for path in folder.iterdir()) == [".new.part", copied.path(0).name]


async def test_a_write_that_ends_early_leaves_the_copy_before(copied: LocalCopies) -> None:
    before = copied.path(0).read_bytes()
    turns: Iterator[int] = iter(range(1))

    async def cut() -> bool:
        if next(turns, None) is None:
            raise OSError(28, "No space left on device")
        return True

    with pytest.raises(OSError, match="No space left"):
        await (await read(COUNT, copies=copied)).copy_to(copied, cut)
    assert copied.path(0).read_bytes() == before
    assert [path.name for path in copied.path(0).parent.iterdir()] == [copied.path(0).name]


async def test_a_state_that_was_handed_over_at_the_commit_of_the_copy_does_not_contradict_it(
    copied: LocalCopies,
) -> None:
    with copied.reading(0) as copy:
        assert copy is not None
        head = copy.head
    logs = Logs()
    logs.records[BARS] = LOGS.records[BARS][: head.seen_at + 1]
    last = decode_bar(head.log.newest["BTC"][1])
    state = replace(last, source=replace(last.source, offset=head.committed - 1))
    logs.append(BARS.topic, 0, b"BTC", encode_bar(state), 0)
    found = await read(head.committed, copies=copied, logs=logs)
    assert found.from_copy is not None
    assert found.log.state() == (await read(head.committed, copies=None, logs=logs)).log.state()


async def test_what_was_answered_again_after_a_reset_counts_instead_of_the_copy(
    copied: LocalCopies,
) -> None:
    """The commit went back, and was beyond that of the copy again when nobody looked."""
    logs = Logs()
    again = published(answer=2e-3)
    logs.records[BARS] = list(LOGS.records[BARS])
    for record in again.records[BARS]:
        logs.append(BARS.topic, 0, record.key or b"", record.value or b"", record.timestamp)
    found = await read(COUNT, copies=copied, logs=logs)
    assert found.from_copy is None
    assert content(found) == content(await read(COUNT, copies=None, logs=logs))


async def test_an_end_in_the_middle_of_a_write_waits_until_the_file_is_let_go(
    copied: LocalCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed under the hands of its thread, it would leave tracebacks in the log of each end."""
    before = copied.path(0).read_bytes()
    add, begun, added = NewCopy.add, threading.Event(), threading.Event()

    def slow(new: NewCopy, symbol: SymbolPart) -> None:
        begun.set()
        time.sleep(0.1)
        add(new, symbol)
        added.set()

    monkeypatch.setattr(NewCopy, "add", slow)
    found = await read(COUNT, copies=copied)
    writing = asyncio.create_task(found.copy_to(copied, go_on))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert added.is_set()
    assert copied.path(0).read_bytes() == before
    assert [path.name for path in copied.path(0).parent.iterdir()] == [copied.path(0).name]
