"""The nice values of the training processes, lowered and raised as Linux lets everyone do.

A process has a nice value of its own, and so has its session. Where Linux groups processes by
session (autogroup, sched(7)), the first ranks a process within its session only, and the second
ranks the session among the others. A broker on the same machine, and so every prediction, would
else wait for the training (docs/performance.md has the figures).

A process that was made nicer may not go back without a privilege (RLIMIT_NICE, CAP_SYS_NICE). Its
session may, down to 0, but only ten times a second on the whole machine
(`proc_sched_autogroup_set_nice` in the kernel).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

NICEST: Final = 19
TOO_OFTEN_S: Final = 0.1
"""How long the kernel refuses another change of a session's nice value."""
TRIES: Final = 20
PROC: Final = Path("/proc")
AUTOGROUPS: Final = PROC / "sys/kernel/sched_autogroup_enabled"


def yield_to_others(niceness: int) -> None:
    """Make this process so much nicer, in a session of its own that is nicer too."""
    session = session_nice(os.getpid())
    os.nice(niceness)
    os.setsid()
    if session is not None:
        with contextlib.suppress(OSError):
            _set_session(os.getpid(), min(NICEST, session + niceness))


def set_niceness(pid: int, niceness: int) -> bool:
    """Make a process so much nicer than this one, from whatever it was. Returns at once.

    Args:
        pid: a process that has called `yield_to_others`; another is left as it is.
        niceness: 0 or more.

    Returns:
        Whether the process now ranks so. False where the system allows no raise.

    Raises:
        BlockingIOError: a session's nice value was just changed; try again in TOO_OFTEN_S.
        ProcessLookupError: there is no such process.
    """
    if os.getsid(pid) != pid:
        return True
    own, session = os.getpriority(os.PRIO_PROCESS, 0), session_nice(os.getpid())
    ranks = session is not None and _rank_session(pid, min(NICEST, session + niceness))
    wanted = min(NICEST, own + niceness)
    if os.getpriority(os.PRIO_PGRP, pid) != wanted:
        try:
            os.setpriority(os.PRIO_PGRP, pid, wanted)
        except PermissionError:
            return ranks
    return True


def session_nice(pid: int) -> int | None:
    """The nice value of a process's session; None where sessions have none."""
    try:
        return int((PROC / str(pid) / "autogroup").read_text().split()[-1])
    except (OSError, IndexError):
        return None


def _rank_session(pid: int, nice: int) -> bool:
    """Give a process's session this nice value; whether it has it, and whether that counts."""
    try:
        if session_nice(pid) != nice:
            (PROC / str(pid) / "autogroup").write_text(str(nice))
        return AUTOGROUPS.read_text().strip() == "1"
    except BlockingIOError:
        raise
    except OSError:
        return False


@retry(
    retry=retry_if_exception_type(BlockingIOError),
    wait=wait_fixed(TOO_OFTEN_S),
    stop=stop_after_attempt(TRIES),
    reraise=True,
)
def _set_session(pid: int, nice: int) -> None:
    (PROC / str(pid) / "autogroup").write_text(str(nice))
