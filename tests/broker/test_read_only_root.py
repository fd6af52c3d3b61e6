"""The worker where its pod has it: a read-only root, the folders of the manifest, no privileges."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import apply_topics, load_topics
from stream_app.settings import load_settings
from tests.builders import walk
from tests.conftest import TOPICS_YAML
from tests.workers import TRAINED_S, environment, feed, messages

ROOT: Final = Path(__file__).parents[2]
MANIFEST: Final = ROOT / "deploy/kubernetes/worker.yaml"
TOOLS: Final = ("unshare", "setpriv", "chroot", "mount")

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason="only root on Linux can make a root for a process",
    ),
]

# As a container's root: the system and the program, and folders of their own. Arguments: the new
# root, the user, folders to be shown as they are, "--", pairs of a folder and its place, "--", the
# command.
ENTER: Final = """
root=$1 user=$2; shift 2
mount -t tmpfs tmpfs "$root"
for name in bin sbin lib lib32 lib64; do
  if [ -L "/$name" ]; then cp -P "/$name" "$root/$name"
  elif [ -d "/$name" ]; then mkdir "$root/$name"; mount --bind -o ro "/$name" "$root/$name"; fi
done
while [ "$1" != -- ]; do
  mkdir -p "$root$1"; mount --bind "$1" "$root$1"; mount -o remount,ro,bind "$root$1"; shift
done
shift
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
shift
mkdir -p "$root/proc" "$root/dev"
mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all "$@"
"""


class Pod:
    """The folders of the worker's pod, and commands in them as its user."""

    def __init__(self, folder: Path) -> None:
        (self._pod,) = [
            each["spec"]["template"]["spec"]
            for each in yaml.safe_load_all(MANIFEST.read_text())
            if each["kind"] == "StatefulSet"
        ]
        (container,) = self._pod["containers"]
        self.variables = {
            each["name"]: each["value"] for each in container["env"] if "value" in each
        }
        empty = {each["name"] for each in self._pod["volumes"] if "emptyDir" in each}
        self.user: int = self._pod["securityContext"]["runAsUser"]
        self._root = folder / "root"
        self._root.mkdir()
        self.folders: dict[str, Path] = {}
        for mount in container["volumeMounts"]:
            if mount["name"] in empty:
                path = folder / mount["name"]
                path.mkdir()
                os.chown(path, self.user, self.user)
                self.folders[mount["mountPath"]] = path

    def start(
        self, command: list[str], variables: dict[str, str], output: Any
    ) -> subprocess.Popen[bytes]:
        shown = {"/usr", "/etc", str(ROOT), sys.prefix, sys.base_prefix}
        shown |= {str(Path(sys.executable).parents[1])}
        pairs = [str(part) for place, path in self.folders.items() for part in (path, place)]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", ENTER, "enter"]
        root = [str(self._root), str(self.user), *sorted(shown), "--", *pairs, "--"]
        given = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.Popen(
            [*enter, *root, *given, *command], stdout=output, stderr=subprocess.STDOUT
        )


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


async def test_the_worker_needs_no_folder_but_those_of_its_pod(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    cache = pod.folders[pod.variables["XDG_CACHE_HOME"]]
    base = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": pod.variables["XDG_CACHE_HOME"]}
    with EmbeddedBroker() as broker:
        settings = load_settings(
            **broker.settings_overrides,
            bar_seconds=60,
            training_window_days=1,
            min_training_bars=200,
            lstm_epochs=1,
            retrain_processes=1,
            retrain_deadline_seconds=TRAINED_S,
            web_port=0,
            topics_file=TOPICS_YAML,
            data_dir=Path(pod.variables["DATA_DIR"]),
        )
        topics = load_topics(TOPICS_YAML)
        await apply_topics(topics, client_settings(settings))
        log = tmp_path / "worker.log"

        # What the image's build compiles, which the first container of the pod copies.
        built = re.findall(r"python -c '(.+?)'", (ROOT / "Dockerfile").read_text())
        assert len(built) == 2
        with log.open("wb") as output:
            for line in built:
                command = [sys.executable, "-c", line]
                assert pod.start(command, base, output).wait(timeout=TRAINED_S) == 0, (
                    log.read_text()
                )
            compiled = files(cache)
            assert any(path.suffix == ".nbc" for path in compiled)
            assert {path.parts[0] for path in compiled} == {"numba"}

            worker = pod.start(
                [sys.executable, "-m", "stream_app", "worker"],
                {**base, **environment(settings), "HOME": "/home/app"},
                output,
            )
        try:
            await feed(settings, walk(1500))
            await messages(settings, topics.predictions, 1500)
            await messages(settings, topics.champions, 1)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=60) == 0, log.read_text()
        finally:
            worker.kill()
            worker.wait()
    assert list(pod.folders[pod.variables["DATA_DIR"]].glob("models/*/*/manifest.json"))
    assert files(cache) == compiled, "it compiled again"
    assert "Errno 30" not in log.read_text(), log.read_text()
    assert "Read-only" not in log.read_text(), log.read_text()
