"""Polls the read model and sends every browser what has changed.

A symbol's newest answer goes out up to four times a second, and at once if the last one is longer
ago. Each channel is built once, however many browsers use it. A channel without browsers is kept
for five minutes, so that a browser that reconnects misses nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, Final

import orjson

from stream_app.dashboard.channel import Channel
from stream_app.dashboard.client import Client
from stream_app.dashboard.looking import Looking
from stream_app.dashboard.ring import KEPT_S, Ring
from stream_app.overview import sections
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import SymbolTable

STEP_S: Final = 0.05
SECOND: Final = 20
"""Steps."""
ANSWER: Final = SECOND // 4
"""From one answer of a symbol to its next."""
HEARTBEAT: Final = 15 * SECOND
RETRY_MS: Final = 2000
"""How long a browser waits before it reconnects."""
MOST_CLIENTS: Final = 100
MOST_CHANNELS: Final = 400
"""Beyond it, unused channels end before their five minutes."""


class Hub:
    """All channels and all browsers.

    Args:
        model: what is shown.
        bounds: what tells good from bad.
        monotonic: the clock, in seconds.
    """

    def __init__(self, model: ReadModel, bounds: Bounds, monotonic: Callable[[], float]) -> None:
        self._model = model
        self._bounds = bounds
        self._monotonic = monotonic
        self._table = SymbolTable(model, monotonic)
        self._run = uuid.uuid4().hex[:8]
        """Tells the numbers of this process from those of another one."""
        self._number = 0
        self._steps = 0
        self._channels: dict[Hashable, Channel] = {}
        self._clients: set[Client] = set()

    @property
    def clients(self) -> int:
        """How many browsers look."""
        return len(self._clients)

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return len(self._channels)

    async def run(self) -> None:
        """Step until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.step()
            due = max(due + STEP_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def step(self) -> None:
        """Tell every browser what has changed since the last step."""
        self._steps += 1
        for channel in self._channels.values():
            if self._steps >= channel.due:
                self._renew(channel)
        if self._steps % HEARTBEAT == 0:
            for client in self._clients:
                client.offer(b": beat\n\n")
        if self._steps % SECOND == 0:
            self._end_unused()

    def join(self, looking: Looking, last_event_id: str | None) -> Client:
        """A browser begins to look.

        Args:
            looking: at what.
            last_event_id: of the last event that it got before it lost the stream. Where the rings
                still have all since then it gets those, otherwise the newest state.
        """
        channels = [self._channel(key, looking) for key in _keys(looking)]
        client = Client(channels)
        missed = self._missed(channels, last_event_id)
        begin = b"".join(self._newest(looking, channels)) if missed is None else missed
        client.offer(f"retry: {RETRY_MS}\n\n".encode() + begin)
        for channel in channels:
            channel.clients += 1
            channel.unused_since_s = None
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """A browser has gone."""
        self._clients.discard(client)
        for channel in client.channels:
            channel.clients -= 1
            if not channel.clients:
                channel.unused_since_s = self._monotonic()

    def close(self) -> None:
        """End every stream."""
        for client in self._clients:
            client.close()

    def _missed(self, channels: list[Channel], last_event_id: str | None) -> bytes | None:
        """The events after the one that was seen; None where some are forgotten."""
        seen = self._seen(last_event_id)
        if seen is None:
            return None
        events: list[tuple[int, bytes]] = []
        for channel in channels:
            kept = channel.ring.since(seen)
            if kept is None:
                return None
            events += [(item.number, self._event(channel, item.number, item.data)) for item in kept]
        return b"".join(data for _, data in sorted(events))

    def _newest(self, looking: Looking, channels: list[Channel]) -> Iterator[bytes]:
        """All that a page begins with."""
        for channel in channels:
            self._renew(channel)
        if looking.symbol and looking.view == "live":
            value = sections.history(self._model, looking.symbol, "live")
            yield _event("history", self._id(self._number), orjson.dumps(value))
        for channel in channels:
            if channel.ring.newest is not None:
                yield self._event(channel, self._number, channel.ring.newest)

    def _renew(self, channel: Channel) -> None:
        """Send what is new in a channel to all its browsers."""
        data = channel.look(self._steps)
        if data is None:
            return
        self._number += 1
        channel.ring.add(self._number, data)
        event = self._event(channel, self._number, data)
        for client in self._clients:
            if channel in client.channels:
                client.offer(event)

    def _channel(self, key: tuple[Any, ...], looking: Looking) -> Channel:
        found = self._channels.get(key)
        if found is None:
            found = self._channels[key] = self._made(key[0], looking)
        return found

    def _made(self, name: str, looking: Looking) -> Channel:
        model, bounds, symbol = self._model, self._bounds, looking.symbol
        made: dict[str, tuple[int, Callable[[], Any], Callable[[], object] | None]] = {
            "health": (SECOND, partial(sections.health, model, bounds), None),
            "table": (SECOND, partial(self._table.page, looking.page), None),
            "answer": (
                ANSWER,
                partial(sections.answer, model, symbol),
                partial(sections.answer_stamp, model, symbol),
            ),
            "about": (
                SECOND,
                partial(sections.about, model, symbol),
                partial(sections.about_stamp, model, symbol),
            ),
            "history": (
                SECOND,
                partial(sections.history, model, symbol, "day"),
                partial(sections.history_stamp, model, symbol),
            ),
            "retrains": (
                SECOND,
                partial(sections.retrains, model, bounds),
                partial(sections.retrains_stamp, model, bounds),
            ),
            "letters": (SECOND, partial(sections.letters, model), None),
            "group": (2 * SECOND, partial(sections.group, model), None),
        }
        every, value, stamp = made[name]
        ring = Ring(self._monotonic, newest_only=name != "answer", began=self._number)
        return Channel(name, every=every, value=value, stamp=stamp, ring=ring)

    def _end_unused(self) -> None:
        now = self._monotonic()
        unused = {
            key: channel.unused_since_s
            for key, channel in self._channels.items()
            if channel.unused_since_s is not None
        }
        for key, since in sorted(unused.items(), key=lambda item: item[1]):
            if now - since > KEPT_S or len(self._channels) > MOST_CHANNELS:
                del self._channels[key]

    def _event(self, channel: Channel, number: int, data: bytes) -> bytes:
        return _event(channel.name, self._id(number), data)

    def _id(self, number: int) -> str:
        return f"{self._run}-{number}"

    def _seen(self, last_event_id: str | None) -> int | None:
        """The number of an event of this process; None for any other id."""
        run, _, number = (last_event_id or "").rpartition("-")
        is_number = number.isascii() and number.isdigit() and len(number) < 16
        return int(number) if run == self._run and is_number else None


def _keys(looking: Looking) -> Iterator[tuple[Any, ...]]:
    """The key of a browser's channel; the first part is the name."""
    yield from (("health",), ("table", looking.page))
    if looking.symbol:
        if looking.view == "day":
            yield ("history", looking.symbol)
        yield from (("answer", looking.symbol), ("about", looking.symbol))
    yield from (("retrains",), ("letters",), ("group",))


def _event(name: str, event_id: str, data: bytes) -> bytes:
    """An event in the form of the HTML standard's server-sent events; JSON has no line breaks."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), event_id.encode(), data)
