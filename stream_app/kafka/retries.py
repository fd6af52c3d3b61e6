"""Which of the client's errors pass by themselves, and how to wait until they have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka.errors import (
    BrokerNotAvailableError,
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    RebalanceInProgressError,
    ReplicaNotAvailableError,
)
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_fixed

from stream_app.errors import BrokerError

_T = TypeVar("_T")

RETRY_S: Final = 1.0
_PASSING: Final = (
    TimeoutError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    BrokerNotAvailableError,
    RebalanceInProgressError,
    ReplicaNotAvailableError,
)
"""Errors of a broker that is away or busy, which the client does not mark as retriable."""


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later; after any other error it never will."""
    return isinstance(error, _PASSING) or (isinstance(error, KafkaError) and bool(error.retriable))


def is_refused(error: BaseException) -> bool:
    """Whether a broker has answered that it will not, as where a right is missing.

    The client's own troubles, which it calls a `KafkaError` without more, are none: they pass.
    """
    return isinstance(error, BrokerResponseError) and not may_pass(error)


def _for_good(what: str, error: BaseException) -> BrokerError:
    """The error line for a refusal.

    Args:
        what: cannot be followed, such as "the champions topic".
        error: the client's.
    """
    return BrokerError(
        f"{what} cannot be followed ({type(error).__name__}: {error}): check that the topic is "
        "there, and that this user may use it"
    )


class Outage:
    """How followers of a topic handle errors: each is logged once, and a refusal ends it."""

    def __init__(self, what: str, logger: logging.Logger) -> None:
        """Have said nothing yet.

        Args:
            what: is followed, such as "the champions topic".
            logger: of the caller.
        """
        self._what = what
        self._logger = logger
        self._said = ""

    def is_over(self) -> None:
        """The broker has answered: the next error is logged, whichever it is."""
        self._said = ""

    async def wait(self, error: Exception) -> None:
        """Say an error unless it is the last one again, and wait for a moment.

        Raises:
            BrokerError: the broker refuses, as where a right is missing.
        """
        if is_refused(error):
            raise _for_good(self._what, error) from error
        text = f"{type(error).__name__}: {error}"
        if text != self._said:
            self._logger.warning("%s cannot be followed yet (%s); trying again", self._what, text)
        self._said = text
        await asyncio.sleep(RETRY_S)


async def until_answered(
    ask: Callable[[], Awaitable[_T]], *, what: str, logger: logging.Logger
) -> _T:
    """Ask a broker, and again each second while the error may pass.

    Waits on the broker, without end. Logs the first error, and each later one that differs.

    Args:
        ask: the request.
        what: names it in the log, such as "partition 3: cannot restore".
        logger: of the caller.

    Raises:
        KafkaError: one that does not pass.
    """
    said = ""

    async def attempt() -> _T:  # tenacity would take a lambda for a function that does not wait
        return await ask()

    def tell(state: RetryCallState) -> None:
        nonlocal said
        assert state.outcome is not None  # noqa: S101 - tenacity calls this after a failure only
        error = state.outcome.exception()
        text = f"{type(error).__name__}: {error}"
        if text != said:
            logger.warning("%s yet (%s); trying again each second", what, text)
        said = text

    retrying = AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=wait_fixed(RETRY_S),
        before_sleep=tell,
        reraise=True,
    )
    return await retrying(attempt)
