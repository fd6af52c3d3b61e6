"""The registry on a disk that fails, is tampered with, or is written by several at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import ArtifactError
from stream_app.messages.symbols import is_symbol
from stream_app.models.catalog import import_loaders
from stream_app.registry import manifest as manifest_module
from stream_app.registry.disk import write_new
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.staging import STALE_S
from stream_app.registry.store import Registry
from stream_app.training.settings import model_settings
from tests.builders import settings
from tests.strategies import symbols

ROOT = Path(__file__).parents[3]
MODELS = model_settings(settings())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEADLINE_S = 240.0
NOBODY = 65534
FILES = ("manifest.json", "kalman.json", "random_forest.onnx", "lightgbm.onnx", "lstm.onnx")


@pytest.fixture
def trained(trained: TrainedSet) -> TrainedSet:
    return replace(trained, symbol="BTC")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may reach; pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)
        for folder, inner, _ in os.walk(path):
            for found in inner:
                (Path(folder) / found).chmod(0o755)


def variant(trained: TrainedSet, number: int) -> TrainedSet:
    """Another set of models: its filter has other noise."""
    noise = orjson.loads(trained.artifacts["kalman"])
    noise["q_level"] *= 1 + number / 1000
    return replace(trained, artifacts={**trained.artifacts, "kalman": orjson.dumps(noise)})


def serving(root: Path, symbol: str = "BTC") -> str | None:
    champion = Registry(root, MODELS).champion(symbol)
    return None if champion is None else champion.version


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a process of its own, or the words of its ArtifactError."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, work, arguments))
    child.start()
    theirs.close()
    try:
        assert ours.poll(DEADLINE_S), "the child says nothing"
        return ours.recv()
    finally:
        child.join(DEADLINE_S)
        ours.close()


def _child(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(work(*arguments))
    except ArtifactError as error:
        pipe.send(str(error))


# The disk


def publish_with_limit(root: Path, trained: TrainedSet, limit: int) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return Registry(root, MODELS).publish(trained, now=NOON + HOUR).version


def test_a_file_that_the_system_does_not_let_grow_leaves_the_champion(
    tmp_path: Path, trained: TrainedSet
) -> None:
    first = Registry(tmp_path, MODELS).publish(trained, now=NOON).version
    said = in_child(publish_with_limit, tmp_path, trained, 2048)
    assert "File too large; free space or fix the permissions; the old models keep serving" in said
    assert serving(tmp_path) == first
    assert litter(tmp_path / "models" / "BTC") == []


def fill_and_publish(folder: str, pickled: str) -> None:
    """Runs on a file system of its own, which this fills."""
    root, trained = Path(folder), pickle.loads(Path(pickled).read_bytes())  # noqa: S301 - our own
    registry = Registry(root, MODELS)
    first = registry.publish(trained, now=NOON).version
    junk = root / "junk"
    with junk.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            full = error.strerror
    refused = ""
    try:
        registry.publish(trained, now=NOON + HOUR)
    except ArtifactError as error:
        refused = str(error)
    still = registry.champion("BTC")
    left = litter(root / "models" / "BTC")
    junk.unlink()
    second = registry.publish(trained, now=NOON + HOUR).version
    print(  # noqa: T201 - what the test reads
        json.dumps([full, refused, still and still.version == first, left, second != first])
    )


def test_a_full_disk_leaves_the_champion_and_is_used_again_when_freed(
    tmp_path: Path, trained: TrainedSet
) -> None:
    disk, pickled = tmp_path / "disk", tmp_path / "trained"
    disk.mkdir()
    pickled.write_bytes(pickle.dumps(trained))
    own = ["unshare", "--mount", "--map-root-user"]
    mount = 'mount -t tmpfs -o size=16m tmpfs "$1"'
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*own, "sh", "-c", mount, "sh", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system of one's own can be mounted here")
    code = f"from {__name__} import fill_and_publish as f; import sys; f(*sys.argv[1:])"
    arguments = [str(disk), sys.executable, code, str(pickled)]
    ended = subprocess.run(
        [*own, "sh", "-c", f'{mount} && exec "$2" -c "$3" "$1" "$4"', "sh", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    full, refused, still_first, left, published = json.loads(ended.stdout.splitlines()[-1])
    assert full == "No space left on device"
    assert "No space left on device; free space or fix the permissions" in refused
    assert still_first
    assert left == []
    assert published


def as_nobody(root: Path, trained: TrainedSet) -> tuple[str, str | None]:
    """Publish and serve as a user who is not the folder's owner."""
    import_loaders()  # before: this user may not be allowed to read Python's own modules
    if os.getuid() == 0:
        os.setgroups([])
        os.setuid(NOBODY)
    said = "published"
    try:
        Registry(root, MODELS).publish(trained, now=NOON + HOUR)
    except ArtifactError as error:
        said = str(error)
    return said, serving(root)


def test_a_folder_that_may_only_be_read_serves_and_refuses_a_new_version(
    open_folder: Path, trained: TrainedSet
) -> None:
    first = Registry(open_folder, MODELS).publish(trained, now=NOON).version
    (open_folder / "models" / "BTC").chmod(0o555)
    said, served = in_child(as_nobody, open_folder, trained)
    assert "models/BTC: Permission denied; free space or fix the permissions" in said
    assert served == first


@pytest.mark.parametrize("hidden", ["", "models", "models/BTC"])
def test_a_folder_that_may_not_be_read_is_a_reason_and_no_crash(
    open_folder: Path, trained: TrainedSet, hidden: str
) -> None:
    Registry(open_folder, MODELS).publish(trained, now=NOON)
    (open_folder / hidden).chmod(0)
    said, served = in_child(as_nobody, open_folder, trained)
    assert "Permission denied" in said
    assert served is None


# Tampering


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def lengthen(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(1 + rng.randrange(5000)))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", [flip, cut, lengthen])
def test_one_altered_byte_anywhere_or_another_length_is_refused(
    tmp_path: Path, trained: TrainedSet, file: str, damage: Callable[..., None]
) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    second = registry.publish(trained, now=NOON + HOUR).version
    path = tmp_path / "models" / "BTC" / second / file
    whole, rng = path.read_bytes(), random.Random(7)  # noqa: S311 - repeatable
    for _ in range(20):
        damage(path, rng)
        if orjson_equal(path.read_bytes(), whole):
            continue  # white space of the manifest: it says the same
        with pytest.raises(ArtifactError, match=file):
            registry.load("BTC", second)
        path.write_bytes(whole)
    damage(path, rng)
    assert serving(tmp_path) == (second if orjson_equal(path.read_bytes(), whole) else first)


def orjson_equal(one: bytes, other: bytes) -> bool:
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except orjson.JSONDecodeError:
        return one == other


@pytest.mark.parametrize(
    "named", ["", "..", "../../../etc", "v1", "20200101T000000Z-00000000", "\0"]
)
def test_a_named_version_that_misleads_leads_nowhere_and_an_intact_version_serves(
    tmp_path: Path, trained: TrainedSet, named: str
) -> None:
    registry = Registry(tmp_path, MODELS)
    registry.publish(trained, now=NOON)
    newest = registry.publish(trained, now=NOON + HOUR).version
    found = registry.champion("BTC", named)
    assert found is not None
    assert found.version == newest


def test_the_named_version_serves_although_there_is_a_newer_one(
    tmp_path: Path, trained: TrainedSet
) -> None:
    registry = Registry(tmp_path, MODELS)
    first, second, third = (
        registry.publish(trained, now=NOON + hour * HOUR).version for hour in range(3)
    )
    found = registry.champion("BTC", second)
    assert found is not None
    assert found.version == second
    shutil.rmtree(tmp_path / "models" / "BTC" / second)
    before = registry.champion("BTC", second)
    assert before is not None
    assert before.version == first
    assert serving(tmp_path) == third


@pytest.mark.parametrize("version", ["..", ".", "", "../BTC", "untrained", "a/b", "a\0b"])
def test_a_version_that_is_none_reaches_no_file(tmp_path: Path, version: str) -> None:
    with pytest.raises(ArtifactError, match="is not the name of a version"):
        Registry(tmp_path, MODELS).load("BTC", version)


@pytest.mark.parametrize("file", FILES)
def test_a_link_to_a_file_is_not_followed(tmp_path: Path, trained: TrainedSet, file: str) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    second = registry.publish(trained, now=NOON + HOUR).version
    path = tmp_path / "models" / "BTC" / second / file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="a symbolic link, which is not followed"):
        registry.load("BTC", second)
    assert serving(tmp_path) == first


def test_a_link_to_a_version_is_not_followed(tmp_path: Path, trained: TrainedSet) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    second = registry.publish(trained, now=NOON + HOUR).version
    place = tmp_path / "models" / "BTC" / second
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert serving(tmp_path) == first
    # And is replaced, not written through, when the same version comes again.
    assert registry.publish(trained, now=NOON + HOUR).version == second
    assert not place.is_symlink()
    assert serving(tmp_path) == second


def test_a_link_in_the_place_of_a_symbol_is_neither_read_nor_written(
    tmp_path: Path, trained: TrainedSet, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tmp_path, MODELS)
    registry.publish(trained, now=NOON)
    place, elsewhere = tmp_path / "models" / "BTC", tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    assert registry.champion("BTC") is None
    assert "a symbolic link, which is not followed" in caplog.text
    with pytest.raises(ArtifactError, match="a symbolic link, which is not followed"):
        registry.publish(trained, now=NOON + HOUR)
    assert sorted(elsewhere.rglob("*")) == before


def test_the_data_folder_itself_may_be_a_link(tmp_path: Path, trained: TrainedSet) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    version = Registry(tmp_path / "data", MODELS).publish(trained, now=NOON).version
    assert serving(tmp_path / "data") == version


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path: Path, trained: TrainedSet) -> None:
    registry = Registry(tmp_path, MODELS)
    version = registry.publish(trained, now=NOON).version
    path = tmp_path / "models" / "BTC" / version / "lstm.onnx"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtifactError, match="not a regular file"):
        registry.load("BTC", version)


# Several writers


def publish_often(root: Path, trained: TrainedSet, count: int) -> list[str]:
    """Versions of the same few seconds as the other writer's, half of them the same models."""
    registry = Registry(root, MODELS)
    return [
        registry.publish(
            variant(trained, number if number % 2 else number + os.getpid()),
            now=NOON + timedelta(seconds=number // 2),
        ).version
        for number in range(count)
    ]


def publish_often_and_tell(root: Path, trained: TrainedSet, count: int, pipe: Any) -> None:
    pipe.send("ready")
    pipe.recv()
    try:
        pipe.send(publish_often(root, trained, count))
    except ArtifactError as error:
        pipe.send([str(error)])


@pytest.mark.timeout(400)
def test_two_workers_write_at_once_and_a_third_always_finds_a_whole_version(
    tmp_path: Path, trained: TrainedSet
) -> None:
    Registry(tmp_path, MODELS).publish(trained, now=NOON - HOUR)
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        child = context.Process(target=publish_often_and_tell, args=(tmp_path, trained, 12, theirs))
        child.start()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        assert pipe.poll(DEADLINE_S)
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    looks, deadline = 0, time.monotonic() + DEADLINE_S
    while any(child.is_alive() for child in children):
        assert time.monotonic() < deadline
        assert serving(tmp_path) is not None
        looks += 1
    versions = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
    assert looks
    assert [len(names) for names in versions] == [12, 12], versions
    assert versions[0][1::2] == versions[1][1::2]
    assert serving(tmp_path) in {name for names in versions for name in names[-2:]}
    assert litter(tmp_path / "models" / "BTC") == []


def test_the_same_version_again_is_the_same_champion(tmp_path: Path, trained: TrainedSet) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON)
    again = registry.publish(trained, now=NOON)
    assert again.version == first.version == serving(tmp_path)
    assert litter(tmp_path / "models" / "BTC") == []


def test_a_damaged_version_is_replaced_when_it_comes_again(
    tmp_path: Path, trained: TrainedSet
) -> None:
    registry = Registry(tmp_path, MODELS)
    version = registry.publish(trained, now=NOON).version
    (tmp_path / "models" / "BTC" / version / "lstm.onnx").unlink()
    assert serving(tmp_path) is None
    assert registry.publish(trained, now=NOON).version == version
    assert serving(tmp_path) == version
    assert litter(tmp_path / "models" / "BTC") == []


def test_a_champion_that_is_replaced_and_removed_while_it_is_read_is_looked_up_again(
    tmp_path: Path, trained: TrainedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    load = Registry.load

    def slow(self: Registry, symbol: str, version: str) -> Any:
        if version == first:
            Registry(tmp_path, MODELS).publish(trained, now=NOON + HOUR)
            shutil.rmtree(tmp_path / "models" / "BTC" / first)
        return load(self, symbol, version)

    monkeypatch.setattr(Registry, "load", slow)
    champion = registry.champion("BTC")
    assert champion is not None
    assert champion.version > first


def publish_and_die(root: Path, trained: TrainedSet, point: str) -> None:
    """A writer that is killed after so many of its files."""
    left = int(point)

    def counted(path: Path, content: bytes) -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        write_new(path, content)

    setattr(manifest_module, "write_new", counted)  # noqa: B010 - it does not export it
    Registry(root, MODELS).publish(trained, now=NOON + HOUR)


@pytest.mark.parametrize("written", ["2", "4"])
def test_a_writer_killed_on_the_way_changes_nothing_and_its_litter_goes_some_day(
    tmp_path: Path, trained: TrainedSet, written: str
) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    folder = tmp_path / "models" / "BTC"
    child = multiprocessing.get_context("spawn").Process(
        target=publish_and_die, args=(tmp_path, trained, written)
    )
    child.start()
    child.join(DEADLINE_S)
    assert child.exitcode == -signal.SIGKILL
    assert serving(tmp_path) == first
    stale = folder / ".staging-old"
    stale.mkdir()
    fresh = folder / ".staging-fresh"
    fresh.mkdir()
    for path in folder.iterdir():
        if path.name.startswith(".") and path != fresh:
            os.utime(path, (time.time() - STALE_S - 60,) * 2)
    registry.publish(trained, now=NOON + 2 * HOUR)
    assert litter(folder) == [fresh.name]


# Names


def test_a_symbol_that_is_none_reaches_no_file(
    tmp_path: Path, trained: TrainedSet, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tmp_path / "data", MODELS)
    for symbol in ("", "a\0b", "A\n", "../x y", "\u202e", "A\u0301", "A" * 65):
        with pytest.raises(ArtifactError, match="is not a symbol"):
            registry.publish(replace(trained, symbol=symbol), now=NOON)
        with pytest.raises(ArtifactError, match="is not a symbol"):
            registry.load(symbol, "20260101T120000Z-00000000")
        caplog.clear()
        assert registry.champion(symbol) is None
        assert "is not a symbol" in caplog.text
    assert list(tmp_path.iterdir()) == []


@given(symbols)
def test_every_symbol_is_one_folder_just_below_the_root(symbol: str) -> None:
    folder = Registry(Path("data"), MODELS)._folder(symbol)
    assert folder.parent == Path("data/models")
    assert folder.resolve().parent == Path("data/models").resolve()
    assert folder.name not in ("", ".", "..")
    assert len(folder.name.encode()) <= 255
    assert not set(folder.name) & set('/\\:\0 "*?<>|')


@given(symbols, symbols, st.randoms(use_true_random=False))
def test_two_symbols_never_share_a_folder_not_even_where_case_does_not_count(
    one: str, other: str, rng: random.Random
) -> None:
    name = Registry(Path("data"), MODELS)._folder
    recased = "".join(rng.choice((letter.lower(), letter.upper())) for letter in one)
    for second in (other, recased, one.lower(), one.upper(), one.swapcase()):
        if not is_symbol(second):
            continue
        same = name(one).name.casefold() == name(second).name.casefold()
        assert same == (one == second)
