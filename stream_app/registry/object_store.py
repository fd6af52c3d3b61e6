"""Model versions on an object store: each written once, and completely or not at all.

    REGISTRY_URL/SYMBOL/VERSION/one object per artifact, and manifest.json, which is written last

Each object is put on the condition that its name is free (`If-None-Match`). So of two writers of
one version the first wins, and a readable version never changes. A version exists once its manifest
does. Reading one needs no listing: its name gives its place.

Messages never contain a store's response: it may hold credentials. They name an HTTP status, the
store's code for the error, or the kind of a network error.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from stream_app.errors import ArtifactError, ConfigError, NotThereError, StoreError
from stream_app.models.catalog import CATALOG
from stream_app.registry.folders import folder_name
from stream_app.registry.manifest import (
    MANIFEST,
    MANIFEST_MAX_BYTES,
    file_of,
    parse_manifest,
    require_intact,
)
from stream_app.registry.names import VERSION_PATTERN, require_state_name, require_version_name
from stream_app.registry.store_errors import lacks_bucket, trouble

if TYPE_CHECKING:
    from obstore.store import RetryConfig

ANSWER_S: Final = 10.0
"""How long a version may take to be read, and a request to be answered."""
WRITE_S: Final = 120.0
"""How long a version may take to be written, on a slow line."""
RETRIES: Final[RetryConfig] = {"max_retries": 2, "retry_timeout": timedelta(seconds=ANSWER_S)}
"""Of one request, by the library; what waits longer is up to the callers."""
_PLAIN: Final = str.maketrans("%~+=", "!()'")
"""What AWS advises against in names, and what stands for it. A tilde is not signed alike by all."""
AWAY_S: Final = 30.0
"""After a failure, readers do not wait for the store for so long."""
AT_ONCE: Final = 32
"""Versions that are read at the same time."""


class ObjectStore:
    """One place on an object store. Lives in the event loop."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Connect to nothing yet.

        Args:
            url: as REGISTRY_URL; the provider's options are in the environment.
            monotonic: a clock, in seconds.

        Raises:
            ConfigError: the URL or the provider's options cannot be right.
        """
        self.url = url.rstrip("/")
        self._monotonic = monotonic
        self._away_until_s = 0.0
        self._reading = asyncio.Semaphore(AT_ONCE)
        try:
            if url.startswith("file:"):
                self.client = from_url(self.url, automatic_cleanup=True)
            else:
                # No options of ours for its client: they would displace those of the environment.
                self.client = from_url(self.url, retry_config=RETRIES)
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(self._told("cannot be used", error)) from None

    @property
    def is_away(self) -> bool:
        """Whether it did not answer a moment ago, so that none should wait for it."""
        return self._monotonic() < self._away_until_s

    def folder(self, name: str) -> str:
        """Where the versions of a state are, below the URL.

        Raises:
            ArtifactError: it is no state's name.
        """
        require_state_name(name, self.url)
        return folder_name(name).translate(_PLAIN)

    def place(self, name: str, version: str) -> str:
        """Where a version is, below the URL.

        Raises:
            ArtifactError: it is no state's or no version's name.
        """
        folder = self.folder(name)
        require_version_name(version, f"{self.url}/{folder}")
        return f"{folder}/{version}"

    async def require_writable(self) -> None:
        """Write an object, try to write it again, read, list and remove it.

        Raises:
            ConfigError: the bucket, the credentials, the rights or the kind of store is wrong; one
                line with the remedy.
            StoreError: it does not answer, which may pass.
        """
        path = f".probe-{uuid.uuid4().hex}"
        try:
            async with asyncio.timeout(ANSWER_S):
                with contextlib.suppress(AlreadyExistsError):  # a repeated request
                    await obstore.put_async(self.client, path, b"x", mode="create")
                try:
                    await obstore.put_async(self.client, path, b"y", mode="create")
                except AlreadyExistsError:
                    pass
                else:
                    raise ConfigError(
                        f"REGISTRY_URL={self.url}: the store writes over an object in spite of "
                        "If-None-Match; use one that has conditional writes"
                    )
                await obstore.get_async(self.client, path)
                await obstore.list(self.client, path).collect_async()
                await obstore.delete_async(self.client, path)
        except (BaseError, OSError, TimeoutError) as error:
            if trouble(error, self.url).is_mistake:
                raise ConfigError(self._told("cannot write there", error)) from None
            self._note_away()
            raise StoreError(self._told("cannot write there", error)) from None

    async def has(self, name: str, version: str) -> bool:
        """Whether a version is there.

        Raises:
            ArtifactError: as `place`.
            StoreError: the store does not answer.
        """
        path = f"{self.place(name, version)}/{MANIFEST}"
        try:
            with self.asking(path):
                async with asyncio.timeout(ANSWER_S):
                    await obstore.head_async(self.client, path)
        except NotThereError:
            return False
        return True

    async def put(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write a version. One that is there already stays, and must have the same artifacts.

        Args:
            name: of the state.
            version: its name.
            files: as `Registry.files`.

        Raises:
            ArtifactError: another version has this name.
            StoreError: the store does not answer; the version is not there, and may be put again.
        """
        place = self.place(name, version)
        artifacts = {file: content for file, content in files.items() if file != MANIFEST}
        # One after the other: `asyncio.gather` would lose a cancellation to a request that fails.
        with self.asking(place):
            async with asyncio.timeout(WRITE_S):
                for file, content in artifacts.items():
                    await self._create(f"{place}/{file}", content)
                await self._create_manifest(f"{place}/{MANIFEST}", files[MANIFEST], name, version)

    async def _create(self, path: str, content: bytes) -> None:
        """Put an object that must not be there yet, unless it has this very content."""
        try:
            await obstore.put_async(self.client, path, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            found = await obstore.get_async(self.client, path)
            same = found.meta["size"] == len(content)
            if not (same and bytes(await found.bytes_async()) == content):
                raise ArtifactError(
                    f"{self.url}/{path}: another version has this name; remove it"
                ) from None

    async def _create_manifest(self, path: str, content: bytes, name: str, version: str) -> None:
        """The same for a manifest: of two trainings with equal artifacts the first one counts."""
        where = f"{self.url}/{path}"
        try:
            await obstore.put_async(self.client, path, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            there = parse_manifest(await self._read(path, MANIFEST_MAX_BYTES), where, name, version)
            if there["files"] != parse_manifest(content, where, name, version)["files"]:
                raise ArtifactError(f"{where}: another version has this name; remove it") from None

    async def get(self, name: str, version: str) -> dict[str, bytes]:
        """A version as it was put, by file name; each artifact is the one of the manifest.

        Raises:
            ArtifactError: it is altered or incomplete.
            NotThereError: there is no such version.
            StoreError: the store does not answer, or did not a moment ago.
        """
        place = self.place(name, version)
        async with self._reading:
            if self.is_away:
                raise StoreError(f"{self.url}: did not answer a moment ago")
            with self.asking(place):
                async with asyncio.timeout(ANSWER_S):
                    return await self._get(place, name, version)

    async def _get(self, place: str, name: str, version: str) -> dict[str, bytes]:
        where = f"{self.url}/{place}/{MANIFEST}"
        raw = await self._read(f"{place}/{MANIFEST}", MANIFEST_MAX_BYTES)
        entries = parse_manifest(raw, where, name, version)["files"]

        files = {}
        for model in CATALOG:
            file, size = file_of(entries, model, where)
            path = f"{place}/{file}"
            try:
                files[file] = await self._read(path, size)
            except FileNotFoundError:
                raise ArtifactError(f"{self.url}/{path}: missing") from None
            require_intact(files[file], entries[model], f"{self.url}/{path}")
        return {**files, MANIFEST: raw}

    async def _read(self, path: str, most: int) -> bytes:
        found = await obstore.get_async(self.client, path)
        size = found.meta["size"]
        if size > most:
            raise ArtifactError(f"{self.url}/{path}: {size} bytes, expected at most {most}")
        return bytes(await found.bytes_async())

    async def prune(self, name: str, *, newest: int, keep: Collection[str]) -> None:
        """Remove a state's old versions, and what is left of those that were never completed.

        A listing that lags behind names too few new versions, so that more old ones stay.

        Args:
            name: of the state.
            newest: how many of the newest versions stay.
            keep: older versions that stay.

        Raises:
            StoreError: the store does not answer; what is left goes with the next call.
        """
        folder = self.folder(name)
        with self.asking(folder):
            async with asyncio.timeout(ANSWER_S):
                objects = await obstore.list(self.client, folder).collect_async()
            parts = [each["path"].split("/")[-3:] for each in objects]
            found = {
                (version, file)
                for _, version, file in (part for part in parts if len(part) == 3)
                if VERSION_PATTERN.fullmatch(version)
            }
            whole = sorted(version for version, file in found if file == MANIFEST)[-newest:]
            for version in sorted({version for version, _ in found} - set(keep)):
                if whole and version < whole[0]:
                    files = {file for each, file in found if each == version} - {MANIFEST}
                    # The manifest goes first: a reader finds all of a version or nothing.
                    for file in (MANIFEST, *sorted(files)):
                        with contextlib.suppress(FileNotFoundError):
                            await obstore.delete_async(self.client, f"{folder}/{version}/{file}")

    @contextlib.contextmanager
    def asking(self, path: str) -> Iterator[None]:
        """Say what fails in one line, and note whether the store answers."""
        try:
            yield
        except FileNotFoundError as error:
            if not lacks_bucket(error):
                raise NotThereError(f"{self.url}/{path}: not in the store") from None
            self._note_away()
            raise StoreError(self._told(path, error)) from None
        except (BaseError, OSError, TimeoutError) as error:
            self._note_away()
            raise StoreError(self._told(path, error)) from None
        self._away_until_s = 0.0

    def _note_away(self) -> None:
        self._away_until_s = self._monotonic() + AWAY_S

    def _told(self, what: str, error: BaseException) -> str:
        return f"REGISTRY_URL={self.url}: {what}: {trouble(error, self.url)}"
