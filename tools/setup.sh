#!/usr/bin/env bash
# Creates .venv and installs the locked packages. Fast when nothing has changed.
#   tools/setup.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=requirements-dev.lock
s3=requirements-s3.lock # the S3 server of the tests, whose dependencies do not go with ours
stamp=.venv/.installed
fingerprint=$(cat requirements.lock "$wanted" "$s3" pyproject.toml | cksum)
if [ -x .venv/bin/stream-app ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then
  exit 0
fi

python=${1:-}
if [ -z "$python" ]; then
  for candidate in python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
if [ -z "$python" ]; then
  echo "setup: no Python 3.11 to 3.13 found; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2
  exit 2
fi

echo "setup: $("$python" --version) into .venv (about 2 GB on disk, some minutes the first time)"
if ! "$python" -m venv .venv; then
  echo "setup: $python has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 2
fi

# PyPI's torch for Linux brings several GB of CUDA libraries that nothing here uses. PyTorch's own
# index has the CPU build of the same version, but it cannot be reached everywhere.
cpu_index=https://download.pytorch.org/whl/cpu
extra=()
if .venv/bin/python - "$cpu_index/torch/" 2>/dev/null <<'PYTHON'
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=5).close()
PYTHON
then
  extra=(--extra-index-url "$cpu_index")
fi
.venv/bin/pip install --disable-pip-version-check --progress-bar on "${extra[@]}" -r "$wanted"
.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
# Compiles the models' loops, which takes seconds.
.venv/bin/python -c 'import stream_app.prediction.answering'
.venv/bin/python -c 'from stream_app.models.catalog import import_loaders; import_loaders()'
.venv/bin/python -m venv .venv/s3
.venv/s3/bin/pip install --disable-pip-version-check --quiet -r "$s3"
echo "$fingerprint" >"$stamp"
echo "setup: done"
