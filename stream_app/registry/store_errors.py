"""What went wrong with an object store, in words of our own.

An answer of a store may repeat what it was sent, credentials included, and the library's message
repeats the answer. So nothing of it is passed on but the HTTP status and the store's code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_METADATA: Final = ("169.254.169.254", "metadata.google.internal")
"""Where the library asks for credentials when it was given none."""
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "file": "the folder's permissions",
}
_MISTAKES: Final = {
    "BadScheme": (
        "plain HTTP is not allowed",
        "use https, or set AWS_ALLOW_HTTP=true on a private network",
    ),
    "Account must be specified": ("no account is given", "set AZURE_STORAGE_ACCOUNT_NAME"),
    "Unable to canonicalize": ("no such folder", "make the folder, or correct REGISTRY_URL"),
    "Permission denied": ("permission denied", "let this user write there"),
}
_NETWORK: Final = {
    "Connection refused": "connection refused",
    "dns error": "no such host",
    "TimedOut": "no answer in time",
    "timed out": "no answer in time",
    "certificate": "its certificate is not trusted",
    "IncompleteMessage": "the connection was cut",
    "ConnectionReset": "the connection was cut",
    "UnexpectedEof": "the connection was cut",
    "decoding response body": "the connection was cut",
    "StorageFull": "the disk is full",
}
"""From a part of the library's message to our text; the first match."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, and what helps."""

    what: str
    remedy: str = ""
    """Empty where only waiting helps."""

    @property
    def is_mistake(self) -> bool:
        """Whether somebody has to fix something: waiting does not help."""
        return bool(self.remedy)

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def lacks_bucket(error: BaseException) -> bool:
    """Whether the whole bucket is missing, and not one object."""
    return any(sign in str(error) for sign in _NO_BUCKET)


def trouble(error: BaseException, url: str) -> Trouble:
    """What an error of the library means.

    Args:
        error: as it was raised.
        url: REGISTRY_URL.
    """
    text = str(error)
    return (
        _refusal(error, text, f"check {_CREDENTIALS[url.partition(':')[0]]}")
        or next((Trouble(*said) for sign, said in _MISTAKES.items() if sign in text), None)
        or next((Trouble(words) for sign, words in _NETWORK.items() if sign in text), None)
        or Trouble("no answer in time" if isinstance(error, TimeoutError) else _answer(text))
    )


def _refusal(error: BaseException, text: str, credentials: str) -> Trouble | None:
    """What a store that answers does not do; None where it may do it later."""
    if any(host in text for host in _METADATA):
        return Trouble("no credentials are given", credentials)
    status = _STATUS.search(text)
    refused = status is not None and status[1] in ("401", "403")  # a listing has no kind of its own
    if refused or isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return Trouble(_answer(text), f"{credentials}, and the rights to read, write and list")
    if isinstance(error, FileNotFoundError) or lacks_bucket(error):
        return Trouble(_answer(text), "make the bucket, or correct REGISTRY_URL")
    if isinstance(error, NotSupportedError) or "status code: 501" in text:
        return Trouble(_answer(text), "use a store with conditional writes (If-None-Match)")
    return None


def _answer(text: str) -> str:
    """The status of an answer and the store's own code for it."""
    code, status = _CODE.search(text), _STATUS.search(text)
    if status is None:
        return "the request failed"
    return f"HTTP {status[1]} {code[1]}" if code else f"HTTP {status[1]}"
