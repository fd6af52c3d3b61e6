"""An S3 server on loopback that checks signatures, and a proxy before it that can be cut.

The server is moto's, in an environment of its own (`requirements-s3.lock`), for its dependencies do
not go with those of the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOTO = Path(sys.prefix) / "s3" / "bin" / "moto_server"
BUCKET = "models"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
UNSIGNED_REQUESTS = 4
"""A user, its rights and its keys, and a bucket: before there is a key, none can sign."""


@dataclass(frozen=True, kw_only=True)
class S3:
    """Where the server is, and the keys of the one user that it has."""

    url: str
    key_id: str
    secret: str

    def environment(self, **changed: str) -> dict[str, str]:
        """What the provider's variables are to say."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        } | changed


@contextlib.contextmanager
def s3_server(log: Path) -> Iterator[S3]:
    """A running server with one user and one bucket."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [MOTO, "-H", "127.0.0.1", "-p", "0"],
            env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(UNSIGNED_REQUESTS)},
            stdout=file,
            stderr=file,
        )
    try:
        while (found := re.search(r"Running on (http://[\d.:]+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
        url = found[1]
        _ask(url, "iam", {"Action": "CreateUser", "UserName": "worker"})
        _ask(
            url,
            "iam",
            {
                "Action": "PutUserPolicy",
                "UserName": "worker",
                "PolicyName": "all",
                "PolicyDocument": POLICY,
            },
        )
        keys = _ask(url, "iam", {"Action": "CreateAccessKey", "UserName": "worker"})
        key_id, secret = re.findall(r"<(?:AccessKeyId|SecretAccessKey)>([^<]+)<", keys)
        _ask(f"{url}/{BUCKET}", "s3", None)
        yield S3(url=url, key_id=key_id, secret=secret)
    finally:
        process.kill()
        process.wait()


def _ask(url: str, service: str, form: dict[str, str] | None) -> str:
    scope = f"x/20260101/us-east-1/{service}/aws4_request"
    request = urllib.request.Request(  # noqa: S310 - an http URL of this module
        url,
        data=urllib.parse.urlencode(form).encode() if form else None,
        method="POST" if form else "PUT",
        headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=x"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(answer.read().decode())


@dataclass
class Proxy:
    """Passes bytes on to a server, in a thread of its own, until it is told otherwise."""

    target: str
    url: str = ""
    is_cut: bool = False
    """Whether connections are refused and those that are open end."""
    swallow_answers: int = 0
    """So many requests reach the server, and their answers are cut off."""
    seen: bytearray = field(default_factory=bytearray)
    """All that was sent to the server."""

    def __enter__(self) -> Proxy:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        async def close() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.closing(back):
            if self.is_cut:
                return
            _, _, address = self.target.rpartition("/")
            host, _, port = address.partition(":")
            server, forth = await asyncio.open_connection(host, int(port))
            with contextlib.closing(forth):
                await asyncio.wait(
                    [
                        asyncio.create_task(self._pass(client, forth, is_answer=False)),
                        asyncio.create_task(self._pass(server, back, is_answer=True)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                if self.is_cut:
                    return
                if is_answer and self.swallow_answers > 0:
                    self.swallow_answers -= 1
                    return
                if not is_answer:
                    self.seen += data
                sink.write(data)
                await sink.drain()
