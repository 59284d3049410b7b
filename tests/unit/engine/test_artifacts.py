"""The store: whole artifacts under the names of their bytes, whoever else writes at the time."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import givers
from givers import answer, giving
from programs import alive
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError

CONTENT = b"the bytes of a model"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ACCESS = Access(addresses=Addresses(EVERYWHERE))

FETCHER = """
import resource, sys
from ipaddress import ip_network
from pathlib import Path
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import Addresses
from tiltyard_engine.sources.base import Access, ArtifactError
uri, store, most, times = sys.argv[1:]
access = Access(addresses=Addresses((ip_network("127.0.0.0/8"),)))
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.stdin.readline()
try:
    for _ in range(int(times)):
        with fetch(uri, None, access, Path(store)).path.open("rb") as file:
            file.seek(-1, 2)
            print(file.read(), flush=True)
except ArtifactError as error:
    print(error.reason.value, str(error), flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@contextmanager
def fetcher(
    uri: str, store: Path, *, most: int = 0, times: int = 1
) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that fetches when its standard input ends."""
    command = [sys.executable, "-c", FETCHER, uri, str(store), str(most), str(times)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def unfinished(store: Path) -> list[Path]:
    return list(store.glob(".incoming-*"))


def test_another_digest_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT)
    with pytest.raises(ArtifactError) as caught:
        fetch("file:model.onnx", "0" * 64, Access(folder=tmp_path), tmp_path / "store")
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert f"has SHA-256 {DIGEST}, the manifest says {'0' * 64}" in str(caught.value)
    assert list((tmp_path / "store").iterdir()) == []


def test_processes_may_fetch_the_same_artifact_at_once(tmp_path: Path) -> None:
    body = b"x" * 500_000 + b"!"
    with giving({"/m": answer(200, body)}) as giver:
        uri, store = f"{giver.url}/m", tmp_path / "store"
        with (
            fetcher(uri, store, times=30) as one,
            fetcher(uri, store, times=30) as two,
            fetcher(uri, store, times=30) as three,
        ):
            fetchers = (one, two, three)
            for process in fetchers:
                go(process)
            for process in fetchers:
                output, _ = process.communicate(timeout=60)
                assert output.split()[:-1] == ["b'!'"] * 30
    assert [path.name for path in store.iterdir()] == [hashlib.sha256(body).hexdigest()]


def test_what_a_killed_fetch_leaves_is_swept_and_never_served(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with giving({"/m": givers.dripping, "/whole": answer(200, CONTENT)}) as giver:
        with fetcher(f"{giver.url}/m", store) as process:
            go(process)
            while not store.is_dir() or not unfinished(store):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert not alive(process.pid)
        (orphan,) = unfinished(store)
        with fetcher(f"{giver.url}/m", store) as living:
            go(living)
            while len(unfinished(store)) < 2:
                time.sleep(0.01)
            for path in unfinished(store):
                os.utime(path, (0, 0))
            fetch(f"{giver.url}/whole", None, ACCESS, store)
            assert not orphan.exists()
            assert len(unfinished(store)) == 1, "somebody is still at work on it"


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, chunk: int) -> None:
    with giving({"/m": givers.sized(8 << 20)}) as giver:
        most = (4 << 20) + chunk
        with fetcher(f"{giver.url}/m", tmp_path / "store", most=most) as process:
            go(process)
            output, _ = process.communicate(timeout=30)
    assert output.startswith("NoSpace ")
    assert "there is no room for it: give the volume of the models more space" in output
    assert unfinished(tmp_path / "store") == []


def test_a_small_disk_that_is_full_is_said(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes rights")
    try:
        with giving({"/m": givers.sized(8 << 20)}) as giver:
            with pytest.raises(ArtifactError, match="there is no room for it") as caught:
                fetch(f"{giver.url}/m", None, ACCESS, disk / "store")
            assert caught.value.reason is Reason.NO_SPACE
            assert list((disk / "store").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_memory_stays_flat_however_large_the_artifact(tmp_path: Path) -> None:
    peaks = []
    with giving() as giver:
        for size in (1 << 20, 256 << 20):
            giver.routes["/m"] = givers.sized(size)
            with fetcher(f"{giver.url}/m", tmp_path / "store") as process:
                go(process)
                output, _ = process.communicate(timeout=60)
            peaks.append(int(output.split()[-1]))
    small, large = peaks
    assert large - small < 16, "MiB"
