"""Versions on an object store: a folder as store, and a real S3 server behind a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import obstore
import orjson
import pytest

from stream_app.commands.models import _load_from_store, _overview_of
from stream_app.errors import ArtifactError, ConfigError, NotThereError, StoreError, VersionError
from stream_app.models.catalog import CATALOG
from stream_app.registry import versions as versions_module
from stream_app.registry.change import Operator, pinned
from stream_app.registry.listing import DiskListing
from stream_app.registry.manifest import MANIFEST, TrainedSet, manifest_digest
from stream_app.registry.object_store import AWAY_S, ObjectStore
from stream_app.registry.store import KEPT_VERSIONS, Registry
from stream_app.registry.store_listing import StoreListing
from stream_app.registry.uploads import Uploads
from stream_app.registry.versions import Versions
from stream_app.training.settings import model_settings
from tests.builders import settings
from tests.figures import LONG, note
from tests.link import Link
from tests.s3 import BUCKET, S3, Proxy

T = TypeVar("T")
MODELS = model_settings(settings())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SYMBOL = "BTC/USD"
NAMES = ["BTC-USD", "btc", "BTC", "^GSPC", "..", "BTC/USD", "平" * 64, "A (partition 3)", "a%2Fb~c"]


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Before the S3 server; the variables of this process lead to it."""
    with Proxy(s3.url) as made:
        for name, value in s3.environment(AWS_ENDPOINT_URL=made.url).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        (tmp_path / "store").mkdir()
        return f"file://{tmp_path}/store"
    request.getfixturevalue("proxy")
    return own_prefix()


def own_prefix() -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


class Machine:
    """A worker's part of the registry: its disk, and what it makes of the store."""

    def __init__(self, folder: Path, url: str) -> None:
        self.disk = Registry(folder, MODELS)
        self.time_s = 0.0
        self.store = ObjectStore(url, monotonic=lambda: self.time_s)
        self.needed: set[str] = set()
        self.slept: list[float] = []
        self.uploads = Uploads(
            self.disk, self.store, needed=lambda _: self.needed, sleep=self.sleep
        )
        self.versions = Versions(self.disk, self.store, self.uploads)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def machine(tmp_path: Path, url: str) -> AsyncIterator[Callable[[str], Machine]]:
    """Makes machines by name, each with an uploader that runs."""
    running = []

    def make(name: str) -> Machine:
        made = Machine(tmp_path / name, url)
        running.append(asyncio.create_task(made.uploads.run()))
        return made

    yield make
    for task in running:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def files_named(files: dict[str, bytes], name: str, version: str) -> dict[str, bytes]:
    """The same version under other names."""
    manifest = orjson.loads(files[MANIFEST]) | {"symbol": name, "version": version}
    del manifest["sha256"]
    manifest["sha256"] = manifest_digest(manifest)
    return files | {MANIFEST: orjson.dumps(manifest)}


def version_of(files: dict[str, bytes]) -> str:
    return str(orjson.loads(files[MANIFEST])["version"])


@pytest.fixture
def files(tmp_path: Path, trained: TrainedSet) -> dict[str, bytes]:
    disk = Registry(tmp_path / "made", MODELS)
    return disk.files(SYMBOL, disk.publish(trained, now=NOON).version)


async def test_what_one_machine_publishes_another_loads_and_keeps(
    machine: Callable[[str], Machine], trained: TrainedSet, tmp_path: Path
) -> None:
    one, two = machine("one"), machine("two")
    published = await one.versions.publish(trained, now=NOON)
    assert one.uploads.waiting == 0
    models = await two.versions.champion(SYMBOL, published.version)
    assert models is not None
    assert models.version == published.version
    assert two.disk.files(SYMBOL, models.version) == one.disk.files(SYMBOL, models.version)
    # From now on it needs no store.
    two.store.client = ObjectStore(f"file://{tmp_path}").client
    assert (await two.versions.load(SYMBOL, models.version)).version == models.version


@pytest.mark.parametrize("name", NAMES)
async def test_a_version_of_any_name_is_written_listed_read_and_removed(
    url: str, name: str, files: dict[str, bytes]
) -> None:
    store, listing = ObjectStore(url), StoreListing(ObjectStore(url))
    versions = [f"20260101T{hour:02}0000Z-0123abcd" for hour in range(4)]
    for version in versions:
        await store.put(name, version, files_named(files, name, version))
        assert await store.has(name, version)
        assert await store.get(name, version) == files_named(files, name, version)
    assert listing.symbols() == [name]
    assert listing.versions(name) == versions
    assert listing.owner(versions[1]) == name
    assert listing.manifest(name, versions[1])["version"] == versions[1]
    await store.prune(name, newest=2, keep={versions[0]})
    assert StoreListing(store).versions(name) == [versions[0], *versions[2:]]
    paths = [each["path"] for batch in obstore.list(store.client) for each in batch]
    assert {path.split("/")[0] for path in paths} == {store.folder(name)}
    assert re.fullmatch(r"[A-Za-z0-9!._()'-]+", store.folder(name))
    assert not any(versions[1] in path for path in paths)
    assert not listing.has(name, versions[1])
    with pytest.raises(NotThereError, match="not in the store"):
        await store.get(name, versions[1])


async def test_a_version_is_written_once_and_the_first_writer_counts(
    url: str, files: dict[str, bytes]
) -> None:
    store, version = ObjectStore(url), version_of(files)
    later = orjson.loads(files[MANIFEST]) | {"created": "later"}
    del later["sha256"]
    later["sha256"] = manifest_digest(later)
    await store.put(SYMBOL, version, files)
    await store.put(SYMBOL, version, files | {MANIFEST: orjson.dumps(later)})
    assert await store.get(SYMBOL, version) == files
    with pytest.raises(ArtifactError, match="another version has this name"):
        await store.put(SYMBOL, version, files | {"kalman.json": b"{}"})
    assert await store.get(SYMBOL, version) == files


@pytest.mark.parametrize("file", [MANIFEST, "kalman.json", "lstm.onnx"])
@pytest.mark.parametrize("damage", ["altered", "longer", "missing"])
async def test_a_damaged_version_is_refused_and_does_not_reach_the_disk(
    machine: Callable[[str], Machine], files: dict[str, bytes], file: str, damage: str
) -> None:
    one, version = machine("one"), version_of(files)
    await one.store.put(SYMBOL, version, files)
    path = f"{one.store.place(SYMBOL, version)}/{file}"
    if damage == "missing":
        await obstore.delete_async(one.store.client, path)
    else:
        content = files[file]
        bad = content + b" " if damage == "longer" and file != MANIFEST else b"x" + content[1:]
        await obstore.put_async(one.store.client, path, bad)
    with pytest.raises((ArtifactError, NotThereError), match=f"{file}|not in the store"):
        await one.versions.load(SYMBOL, version)
    assert not one.disk.has(SYMBOL, version)
    assert await one.versions.champion(SYMBOL, version) is None


async def test_a_version_that_is_nowhere_yet_leaves_the_one_before_it(
    machine: Callable[[str], Machine], trained: TrainedSet, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    first = await one.versions.publish(trained, now=NOON)
    serves = await two.versions.champion(SYMBOL, "20260101T130000Z-00000000", first.version)
    assert serves is not None
    assert serves.version == first.version
    assert "20260101T130000Z-00000000 cannot serve yet: " in caplog.text


async def test_old_versions_go_but_what_serves_stays(
    machine: Callable[[str], Machine], trained: TrainedSet
) -> None:
    one = machine("one")
    made = []
    for hour in range(KEPT_VERSIONS + 3):
        now = NOON + timedelta(hours=hour)
        made.append((await one.versions.publish(trained, now=now, keep=one.needed)).version)
        one.needed = {made[0]}
    listed = StoreListing(one.store).versions(SYMBOL)
    assert (
        listed
        == [made[0], *made[-KEPT_VERSIONS:]]
        == DiskListing(one.disk._root.parent).versions(SYMBOL)
    )


async def test_a_version_that_is_known_is_in_the_store_again(
    machine: Callable[[str], Machine], trained: TrainedSet
) -> None:
    one = machine("one")
    assert await one.versions.known(trained, serving="", models=CATALOG) is None
    first = await one.versions.publish(trained, now=NOON)
    place = one.store.place(SYMBOL, first.version)
    for each in obstore.list(one.store.client, prefix=place).collect():
        obstore.delete(one.store.client, each["path"])
    assert not await one.store.has(SYMBOL, first.version)
    again = await one.versions.known(trained, serving="", models=CATALOG)
    assert again is not None
    assert again.version == first.version
    assert await one.store.has(SYMBOL, first.version)
    newer = replace(trained, data_to=trained.data_to + 1)
    assert await one.versions.known(newer, serving=first.version, models=CATALOG) is None


async def test_what_was_not_written_before_a_kill_is_written_after_the_start(
    machine: Callable[[str], Machine], trained: TrainedSet, url: str, tmp_path: Path
) -> None:
    version = Registry(tmp_path / "one", MODELS).publish(trained, now=NOON).version
    one = machine("one")
    one.versions.complete([(SYMBOL, version), (SYMBOL, "20250101T000000Z-00000000"), ("..", "..")])
    assert one.uploads.waiting == 1
    await one.uploads.add(SYMBOL, version)
    assert await one.store.has(SYMBOL, version)


async def test_a_store_that_is_away_keeps_nobody_waiting_and_gets_all_when_it_is_back(
    s3: S3,
    proxy: Proxy,
    tmp_path: Path,
    trained: TrainedSet,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    one, two = (Machine(tmp_path / name, own) for own in [own_prefix()] for name in ("one", "two"))
    proxy.is_cut = True
    with pytest.raises(StoreError, match="cannot write there: "):
        await one.store.require_writable()
    assert one.store.is_away
    running = asyncio.create_task(one.uploads.run())
    models = [await one.versions.publish(trained, now=NOON + timedelta(hours=h)) for h in (0, 1)]
    assert one.uploads.waiting == 2  # and neither publication waited
    assert one.versions._disk.champion(SYMBOL, models[1].version) is not None
    with pytest.raises(StoreError):
        await two.store.get(SYMBOL, models[1].version)
    asked = len(proxy.seen)
    assert await two.versions.champion(SYMBOL, models[1].version, models[0].version) is None
    assert len(proxy.seen) == asked  # it is not asked again at once
    while len(one.slept) < 4:  # it is tried again and again
        await asyncio.sleep(0.01)
    assert one.uploads.waiting == 2
    proxy.is_cut = False
    await asyncio.gather(*(one.uploads.add(SYMBOL, each.version) for each in models))
    assert one.uploads.waiting == 0
    two.time_s += AWAY_S
    for each in models:
        assert (await two.versions.load(SYMBOL, each.version)).version == each.version
    warnings = [record for record in caplog.records if "trying again until" in record.message]
    assert 1 <= len(warnings) <= len(one.slept) // 2 + 1
    assert "answers again" in caplog.text
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_store_that_hangs_keeps_nobody_waiting_for_long_and_gets_all_when_it_answers(
    s3: S3, tmp_path: Path, trained: TrainedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and requests, and says nothing. No request has failed yet."""
    monkeypatch.setattr(versions_module, "HAND_OVER_S", 0.05)
    async with Link(0, int(s3.url.rpartition(":")[2])) as link:
        endpoint = f"http://127.0.0.1:{link.port}"
        for name, value in s3.environment(AWS_ENDPOINT_URL=endpoint).items():
            monkeypatch.setenv(name, value)
        one = Machine(tmp_path / "one", own_prefix())
        uploading = asyncio.create_task(one.uploads.run())
        link.cut()
        async with asyncio.timeout(60):
            models = await one.versions.publish(trained, now=NOON)
        assert one.disk.has(SYMBOL, models.version), "it can serve"
        assert one.uploads.waiting == 1
        link.mend()
        async with asyncio.timeout(60):
            while one.uploads.waiting:
                await asyncio.sleep(0.01)
        assert await one.store.has(SYMBOL, models.version)
        assert not uploading.done()
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    while True:
        with contextlib.suppress(StoreError):
            return await ask()


async def test_answers_that_are_cut_off_lose_nothing(
    proxy: Proxy, files: dict[str, bytes], tmp_path: Path
) -> None:
    """The object is written and nobody is told: the repeated request finds it there."""
    later = itertools.count(step=int(2 * AWAY_S))  # it is never away for long
    version = version_of(files)
    for swallowed in (1, 2, 5, 9):
        store = ObjectStore(own_prefix(), monotonic=later.__next__)
        proxy.swallow_answers = swallowed
        await insist(lambda: store.put(SYMBOL, version, files))  # noqa: B023 - called here
        assert proxy.swallow_answers == 0
        proxy.swallow_answers = swallowed
        assert await insist(lambda: store.get(SYMBOL, version)) == files  # noqa: B023


@pytest.fixture
def machine_with(tmp_path: Path, files: dict[str, bytes]) -> Callable[[str], Machine]:
    """Makes a machine that has a version on its disk."""

    def make(url: str) -> Machine:
        made = Machine(tmp_path / "one", url)
        made.disk.take_in(SYMBOL, version_of(files), files)
        return made

    return make


MISTAKES: dict[str, tuple[dict[str, str], str | None, str]] = {
    "bucket": (
        {},
        "s3://none/x",
        "HTTP 404 NoSuchBucket; make the bucket, or correct REGISTRY_URL",
    ),
    "secret": (
        {"AWS_SECRET_ACCESS_KEY": "hunter2-hunter2"},
        None,
        "HTTP 403 SignatureDoesNotMatch; check AWS_ACCESS_KEY_ID",
    ),
    "key": (
        {"AWS_ACCESS_KEY_ID": "AKIAHUNTER2"},
        None,
        "HTTP 403 InvalidAccessKeyId; check AWS_ACCESS_KEY_ID",
    ),
    "http": (
        {"AWS_ALLOW_HTTP": "false"},
        None,
        "plain HTTP is not allowed; use https, or set AWS_ALLOW_HTTP=true",
    ),
    "folder": (
        {},
        "file:///does/not/exist",
        "no such folder; make the folder, or correct REGISTRY_URL",
    ),
    "account": ({}, "az://container/x", "no account is given; set AZURE_STORAGE_ACCOUNT_NAME"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_one_line_with_the_remedy_and_no_credentials(
    s3: S3,
    mistake: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    changed, url, said = MISTAKES[mistake]
    given = s3.environment(**changed)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        await ObjectStore(url or own_prefix()).require_writable()
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("REGISTRY_URL=")
    assert said in str(refused.value)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert given[key] not in caplog.text + str(refused.value)


@pytest.mark.parametrize("mistake", ["bucket", "secret", "key"])
async def test_a_mistake_that_comes_later_is_a_store_that_is_away(
    s3: S3,
    mistake: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    machine_with: Callable[[str], Machine],
) -> None:
    caplog.set_level(logging.DEBUG)
    changed, url, said = MISTAKES[mistake]
    given = s3.environment(**changed)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    one = machine_with(url or own_prefix())
    (version,) = DiskListing(one.disk._root.parent).versions(SYMBOL)
    running = asyncio.create_task(one.uploads.run())
    one.uploads.add(SYMBOL, version)
    while len(one.slept) < 2:
        await asyncio.sleep(0.01)
    assert one.uploads.waiting == 1
    assert one.store.is_away
    assert await one.versions.champion(SYMBOL, "20260101T130000Z-00000000", version) is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert said.partition("; ")[2] in caplog.text
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert given[key] not in caplog.text


async def test_a_store_that_writes_over_what_is_there_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = obstore.put_async

    async def careless(*args: object, mode: str = "", **options: object) -> object:
        return await real(*args, **options)  # type: ignore[arg-type]

    store = ObjectStore(url)
    await store.require_writable()
    monkeypatch.setattr(obstore, "put_async", careless)
    with pytest.raises(ConfigError, match="writes over an object in spite of If-None-Match"):
        await store.require_writable()


async def test_nothing_is_listed_to_publish_or_to_load(
    proxy: Proxy, files: dict[str, bytes], tmp_path: Path
) -> None:
    """So a listing that lags behind does no harm: it is of use to operators and to the removal."""
    store, version = ObjectStore(own_prefix()), version_of(files)
    await store.put(SYMBOL, version, files)
    assert await store.has(SYMBOL, version)
    await store.get(SYMBOL, version)
    assert b"PUT /models/" in proxy.seen
    assert b"list-type" not in proxy.seen
    await store.prune(SYMBOL, newest=1, keep=())
    assert b"list-type" in proxy.seen


async def test_a_listing_that_lags_behind_removes_nothing_that_is_new(
    url: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(url)
    versions = [f"20260101T{hour:02}0000Z-0123abcd" for hour in range(9)]
    for version in versions[:5]:
        await store.put(SYMBOL, version, files_named(files, SYMBOL, version))
    stale = obstore.list(store.client).collect()
    for version in versions[5:]:
        await store.put(SYMBOL, version, files_named(files, SYMBOL, version))

    class Lagging:
        async def collect_async(self) -> object:
            return stale

        def collect(self) -> object:
            return stale

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "list", lambda *_: Lagging())
        await store.prune(SYMBOL, newest=3, keep=())
        listing = StoreListing(store)
        assert versions[8] not in listing.versions(SYMBOL)
        assert listing.has(SYMBOL, versions[8])  # so an operator can name it all the same
    assert StoreListing(store).versions(SYMBOL) == versions[2:]
    await store.prune(SYMBOL, newest=3, keep=())
    assert StoreListing(store).versions(SYMBOL) == versions[6:]


@pytest.mark.timeout(3600 if LONG else 300)
async def test_two_writers_lose_no_version(url: str, files: dict[str, bytes]) -> None:
    """Each writes versions of its own and the same ones as the other, at the same time."""
    count = 1000 if LONG else 20
    stores = [ObjectStore(url), ObjectStore(url)]
    own = [[f"20260101T{at:06}Z-0000000{writer}" for at in range(count)] for writer in (0, 1)]
    common = [f"20260102T{at:06}Z-00000002" for at in range(count // 10)]

    async def write(writer: int) -> None:
        for at, version in enumerate(own[writer]):
            await stores[writer].put(SYMBOL, version, files_named(files, SYMBOL, version))
            if at < len(common):
                await stores[writer].put(SYMBOL, common[at], files_named(files, SYMBOL, common[at]))

    await asyncio.gather(write(0), write(1))
    written = sorted([*own[0], *own[1], *common])
    lost = [
        version
        for version in written
        if await stores[0].get(SYMBOL, version) != files_named(files, SYMBOL, version)
    ]
    assert StoreListing(stores[0]).versions(SYMBOL) == written
    note(
        f"2 writers x {count:,} versions, {url.partition(':')[0]}://",
        "0 lost",
        f"{len(lost)} lost of {len(written)}",
    )
    assert not lost


def test_an_operator_without_files_sees_and_checks_what_is_in_the_store(
    url: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    chosen = settings(registry_url=url, data_dir=tmp_path / "none")
    version = version_of(files)
    asyncio.run(ObjectStore(url).put(SYMBOL, version, files))
    overview = _overview_of(chosen, [])
    assert [line.version for line in overview.lines(SYMBOL) if line.on_disk] == [version]
    with pytest.raises(VersionError, match="is not in the registry"):
        overview.require_version(SYMBOL, "20250101T000000Z-00000000")
    operator = Operator(who="me", why="", now=NOON)
    _load_from_store(chosen, url, pinned(overview, SYMBOL, version, operator))
    other = settings(registry_url=url, data_dir=tmp_path / "none", model_seed=8)
    with pytest.raises(ArtifactError, match="trained with another seed"):
        _load_from_store(other, url, pinned(overview, SYMBOL, version, operator))
    assert not chosen.data_dir.exists()
