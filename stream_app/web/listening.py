"""Opens the port of a web server, whichever is free."""

from __future__ import annotations

import errno
import logging

from aiohttp import web
from yarl import URL

from stream_app.errors import ConfigError

logger = logging.getLogger(__name__)


async def listen(runner: web.AppRunner, host: str, port: int, *, setting: str) -> int:
    """Listen. If the port is taken, use a free one that the system chooses.

    Args:
        runner: not set up yet.
        host: an address of this machine.
        port: 0 for a free one.
        setting: how the two settings begin, such as "WEB".

    Returns:
        The port.

    Raises:
        ConfigError: it cannot listen on this address.
    """
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(
                f"{setting}_HOST={host} {setting}_PORT={port}: {error.strerror}"
            ) from None
        logger.warning("%s_PORT=%d is taken, perhaps by another process", setting, port)
        await web.TCPSite(runner, host, 0).start()
    return int(runner.addresses[0][1])


def address(host: str, port: int) -> str:
    """Where a browser finds the server.

    >>> address("127.0.0.1", 6066), address("::1", 6066)
    ('http://127.0.0.1:6066', 'http://[::1]:6066')
    """
    return str(URL.build(scheme="http", host=host, port=port))
