"""The error line for a rejected setting: the key, the value and the remedy."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings.exceptions import SettingsError

from stream_app.environment.variables import PREFIX

_HIDDEN: Final = "********"
_SECRET: Final = ("registry_url",)
"""Settings whose refused values are not shown: somebody may have put a key into them."""


def refusal(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """The first problem, as `KEY=value: what is allowed`.

    Args:
        error: pydantic's.
        fields: the settings that there are, by name.
    """
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    path = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = _nearest(path, fields)
        hint = f"; did you mean {known.upper()}?" if known else "; see docs/settings.md"
        secret = "pass" in path.lower() or "password" in (known or "") or known in _SECRET
        given = _HIDDEN if secret else repr(_without_user(problem["input"]))
        return f"{path.upper()}={given}: unknown setting{hint}"
    if not path:
        return message
    value = _HIDDEN if path in _SECRET or "password" in path else _without_user(problem["input"])
    return f"{_variable(path)}={value}: {message}"


def not_json(error: SettingsError, fields: Mapping[str, FieldInfo]) -> str:
    """The same of a list or an object that is not JSON."""
    name = str(error).split('"')[1]
    given = error.__cause__.doc if isinstance(error.__cause__, json.JSONDecodeError) else "?"
    return f"{_variable(name)}={given}: not JSON; write it as {json.dumps(fields[name].default)}"


def _without_user(value: Any) -> Any:
    """A value without the user and the password that a URL may have."""
    return re.sub("//.*@", f"//{_HIDDEN}@", value) if isinstance(value, str) else value


def _variable(name: str) -> str:
    """The setting as it was given: with the prefix where the environment has that."""
    prefixed = PREFIX + name.upper()
    return prefixed if os.environ.get(prefixed) else name.upper()


def _nearest(name: str, known: Mapping[str, Any]) -> str | None:
    matches = difflib.get_close_matches(name.lower(), list(known), n=1)
    return matches[0] if matches else None
