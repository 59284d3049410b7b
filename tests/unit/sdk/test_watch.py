"""When a file counts as changed."""

import os
from pathlib import Path

import pytest

from tiltyard.local.watch import FileWatch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text("one", encoding="utf-8")
    return path


def touch(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


def test_a_change_counts_once_and_only_when_the_file_is_at_rest(file: Path) -> None:
    watch = FileWatch([file])
    assert not watch.changed()
    touch(file, 1)
    assert not watch.changed(), "it may still be written"
    touch(file, 2)
    assert not watch.changed(), "it was"
    assert watch.changed()
    assert not watch.changed()


def test_a_file_put_in_place_of_another_of_the_same_age_and_size_counts(file: Path) -> None:
    watch = FileWatch([file])
    stamp = file.stat().st_mtime_ns
    fresh = file.with_suffix(".new")
    fresh.write_text("two", encoding="utf-8")
    touch(fresh, stamp)
    fresh.replace(file)
    assert [watch.changed(), watch.changed()] == [False, True]


def test_a_link_is_followed_as_a_mounted_configmap_needs(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file)
    watch = FileWatch([link])
    other = file.with_name("other.yaml")
    other.write_text("two", encoding="utf-8")
    fresh = file.with_name("fresh.yaml")
    fresh.symlink_to(other)
    fresh.replace(link)
    assert [watch.changed(), watch.changed()] == [False, True]


def test_a_file_that_goes_and_comes_back_as_it_was_is_no_change(file: Path) -> None:
    watch = FileWatch([file])
    away = file.with_name("away")
    file.rename(away)
    assert not watch.changed()
    away.rename(file)
    assert [watch.changed() for _ in range(3)] == [False] * 3


def test_nothing_to_watch_never_changes() -> None:
    assert not FileWatch([]).changed()
