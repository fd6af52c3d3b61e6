"""Environment variables as settings: what shells, container engines and Kubernetes make of them."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Collection, Mapping
from typing import Final

from stream_app.errors import ConfigError

logger = logging.getLogger(__name__)

PREFIX: Final = "STREAM_APP_"
"""Accepted before every name. The name with the prefix goes first."""
CONFIG_VARIABLE: Final = "STREAM_APP_CONFIG"
_SERVICE_LINK: Final = re.compile(r"(^|_)(SERVICE_HOST|SERVICE_PORT|PORT)(_\w+)?$")
"""How the names end that Kubernetes makes for each service, as in STREAM_APP_PORT_6066_TCP."""


def given(variables: Mapping[str, str | None], known: Collection[str]) -> dict[str, str]:
    """The variables as settings by name: without the prefix and without empty values.

    >>> variables = {"web_port": "1", "stream_app_web_port": "2", "data_dir": ""}
    >>> given(variables, {"web_port", "data_dir"})
    {'web_port': '2'}

    Args:
        variables: by name in small letters.
        known: names of the settings in small letters.
    """
    prefix = PREFIX.lower()
    ranked = sorted(variables.items(), key=lambda item: item[0].startswith(prefix))
    found = {}
    for name, value in ranked:
        setting = name.removeprefix(prefix)
        if value:
            found[setting if setting in known else name] = value
    return found


def unquoted(name: str, value: str) -> str:
    """The value without a pair of quotes around it, and without spaces and a line end after it.

    A shell takes quotes off. `docker run --env-file` and systemd's editors keep them, and files
    from Windows leave a carriage return behind. One pair is taken off, so that a value whose own
    first and last characters are quotes can be written inside another pair.

    >>> unquoted("LSTM_LAYERS", "'[32,16]'")
    '[32,16]'
    """
    bare = value.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        logger.warning(
            "%s: its value has quotes around it, which are left out; an env file needs none",
            name.upper(),
        )
        return bare[1:-1]
    return bare


def require_known(variables: Collection[str], known: Collection[str]) -> None:
    """Refuse a misspelt name with the prefix. Without it a name may be anyone's.

    Names that Kubernetes makes for services called stream-app-something are left alone.

    Raises:
        ConfigError: one line with the name that was probably meant.
    """
    for name in variables:
        setting = name.upper().removeprefix(PREFIX)
        if setting == name.upper() or setting.lower() in known or _SERVICE_LINK.search(setting):
            continue
        for meant in difflib.get_close_matches(setting.lower(), list(known), n=1, cutoff=0.8):
            raise ConfigError(
                f"{name.upper()}: unknown setting; did you mean {PREFIX}{meant.upper()}?"
            )
