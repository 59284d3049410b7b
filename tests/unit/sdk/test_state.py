"""The folder of a served Pipeline: gone in the end, whoever ended it."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from tiltyard.local.state import PREFIX, YOUNG_SECONDS, state_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left_behind(parent: Path, age: float) -> Path:
    folder = parent / f"{PREFIX}old"
    (folder / "engine-1").mkdir(parents=True)
    stamp = folder.stat().st_mtime - age
    os.utime(folder, (stamp, stamp))
    return folder


def test_it_is_there_and_then_it_is_gone(tmp_path: Path) -> None:
    with state_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    old = left_behind(tmp_path, 2 * YOUNG_SECONDS)
    with state_folder():
        assert not old.exists()


def test_what_is_in_use_or_young_stays(tmp_path: Path) -> None:
    used = left_behind(tmp_path, 2 * YOUNG_SECONDS)
    young = used.rename(tmp_path / f"{PREFIX}young")
    os.utime(young)
    used = left_behind(tmp_path, 2 * YOUNG_SECONDS)
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with state_folder():
        assert used.exists()
        assert young.exists()
    os.close(lock)
