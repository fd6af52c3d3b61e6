"""Real processes, ranked by the real system, as the user who runs the tests and as nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from stream_app.training.niceness import session_nice

SCRIPT = """
import ctypes, json, os, subprocess, sys, time
from stream_app.training.niceness import session_nice, set_niceness, yield_to_others

PR_SET_DUMPABLE = 4

def ranks(pid):
    return [os.getpriority(os.PRIO_PROCESS, pid), session_nice(pid)]

def ranked(pid, niceness):
    while True:
        try:
            return set_niceness(pid, niceness)
        except BlockingIOError:
            time.sleep(0.1)

if len(sys.argv) > 1:
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as a program that is started so

ready, tell = os.pipe()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        yield_to_others(10)
        os.write(tell, b"!")
        time.sleep(600)
    children.append(child)
for _ in children:
    os.read(ready, 1)
new = subprocess.Popen(["sleep", "600"])
found = {"here": ranks(os.getpid()), "before": [ranks(pid) for pid in children]}
found["starting"] = [ranked(new.pid, 5), ranks(new.pid) == found["here"]]
for niceness in (5, 0, 10):
    found[str(niceness)] = [ranked(child, niceness), *ranks(child)]
new.kill()
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
try:
    set_niceness(child, 5)
except ProcessLookupError:
    found["gone"] = True
print(json.dumps(found))
"""


def nicer(nice: int, more: int) -> int:
    return min(19, nice + more)


@pytest.mark.skipif(session_nice(os.getpid()) is None, reason="sessions have no nice value here")
@pytest.mark.parametrize("user", [(), ("65534",)], ids=["as oneself", "as nobody"])
def test_sessions_are_lowered_and_raised_without_a_privilege(user: tuple[str, ...]) -> None:
    if user and os.getuid():
        pytest.skip("only root may become another user")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *user],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=True,
        timeout=120,
        start_new_session=True,
    )
    found = orjson.loads(done.stdout)
    (own, session), enabled = found["here"], _enabled()
    assert found["before"] == 3 * [[nicer(own, 10), nicer(session, 10)]], "all at once"
    assert found["starting"] == [True, True]
    raised = not user and os.getuid() == 0
    for niceness in (5, 0):
        ranks, nice, group = found[str(niceness)]
        assert group == nicer(session, niceness)
        assert nice == nicer(own, niceness if raised else 10)
        assert ranks == (raised or enabled)
    assert found["10"] == [True, nicer(own, 10), nicer(session, 10)]
    assert found["gone"]


def _enabled() -> bool:
    return Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
