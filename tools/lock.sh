#!/usr/bin/env bash
# Writes requirements.lock (to run) and requirements-dev.lock (also to test and check) from
# pyproject.toml, with the newest versions that it allows, and requirements-s3.lock (the S3 server of
# the tests). Run it to take new releases.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${1:-python3}
freeze() { # freeze EXTRAS FILE HEAD
  "$python" -m venv "$work/$2"
  "$work/$2/bin/pip" install --quiet setuptools wheel torch==2.13.0 ".$1"
  { echo "# Made by tools/lock.sh from pyproject.toml; do not edit."
    "$work/$2/bin/pip" freeze --exclude stream-app --all | grep -v '^pip==' | sed 's/^torch==\([0-9.]*\).*/torch==\1/'
  } >"$2"
}
freeze "" requirements.lock
freeze "[dev]" requirements-dev.lock
"$python" -m venv "$work/s3"
"$work/s3/bin/pip" install --quiet "moto[s3]>=5.2,<6" "flask>=3.1,<4" "flask-cors>=6,<7"
{ echo "# Made by tools/lock.sh; the S3 server of the tests, in an environment of its own."
  "$work/s3/bin/pip" freeze
} >requirements-s3.lock
