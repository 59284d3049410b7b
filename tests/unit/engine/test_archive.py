"""What zips are unpacked, and what is refused before or while it is."""

import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import archives
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.archive import is_archive, unpack
from tiltyard_engine.sources.base import ArtifactError

GOOD = {"model.py": b"print()", "data/weights.bin": b"\1\2\3", "empty/": b"", "näme": b"x"}


def unpacked(tmp_path: Path, data: bytes, most: int = 1 << 30) -> dict[str, bytes]:
    archive, folder = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(data)
    folder.mkdir()
    unpack(archive, folder, most)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_plain_files_and_folders_come_out(tmp_path: Path, method: int) -> None:
    found = unpacked(tmp_path, archives.packed(GOOD, method))
    assert found == {name: data for name, data in GOOD.items() if not name.endswith("/")}
    assert (tmp_path / "out" / "empty").is_dir()


def test_what_comes_out_is_new_and_runs_nowhere(tmp_path: Path) -> None:
    unpacked(tmp_path, archives.special("model.py", stat.S_IFREG | stat.S_ISUID))
    found = (tmp_path / "out" / "model.py").stat()
    assert stat.S_IMODE(found.st_mode) & (stat.S_ISUID | 0o111) == 0
    assert found.st_nlink == 1


HOSTILE: dict[str, tuple[Callable[[], bytes], Reason, str]] = {
    "a parent": (
        lambda: archives.packed({"../evil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "'../evil', which is no plain path",
    ),
    "a parent within": (
        lambda: archives.packed({"a/../../evil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "absolute": (
        lambda: archives.packed({"/tmp/evil": b"x"}),  # noqa: S108 - it is refused
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "a drive": (
        lambda: archives.packed({"C:/evil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "backslashes": (
        lambda: archives.packed({"a\\..\\evil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "a null byte": (
        lambda: archives.packed({"evilX.py": b"x"}).replace(b"evilX.py", b"evil\0.py"),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "a line break": (
        lambda: archives.packed({"ev\nil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "a long name": (
        lambda: archives.packed({"x" * 300: b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "which is no plain path",
    ),
    "a symbolic link": (
        lambda: archives.link("link", "/etc/passwd"),
        Reason.UNSAFE_ARCHIVE,
        "'link', which is a link or a device",
    ),
    "a device": (
        lambda: archives.special("null", stat.S_IFCHR),
        Reason.UNSAFE_ARCHIVE,
        "'null', which is a link or a device",
    ),
    "a named pipe": (
        lambda: archives.special("pipe", stat.S_IFIFO),
        Reason.UNSAFE_ARCHIVE,
        "'pipe', which is a link or a device",
    ),
    "a file twice": (
        lambda: archives.packed({"a1": b"x", "a2": b"y"}).replace(b"a2", b"a1"),
        Reason.UNSAFE_ARCHIVE,
        "a file twice",
    ),
    "a file that is a folder": (
        lambda: archives.packed({"a": b"x", "a/b": b"y"}),
        Reason.UNSAFE_ARCHIVE,
        "a file that is a folder too",
    ),
    "packed by memory": (
        lambda: archives.packed({"a": b"x" * 99}, zipfile.ZIP_LZMA),
        Reason.UNSAFE_ARCHIVE,
        "packed otherwise than deflated",
    ),
    "a bomb": (lambda: archives.bomb(200 << 20), Reason.UNSAFE_ARCHIVE, "100 times its size"),
    "a bomb of one kernel": (
        lambda: archives.overlapping(2000, 1 << 20),
        Reason.NOT_A_MODEL,
        "damaged zip",
    ),
    "a million files": (
        lambda: archives.crowded(1_000_000),
        Reason.UNSAFE_ARCHIVE,
        "more than 10000 files",
    ),
    "cut short": (
        lambda: archives.packed(GOOD)[:-30],
        Reason.NOT_A_MODEL,
        "is a damaged zip: pack and upload it anew",
    ),
    "a flipped bit": (
        lambda: archives.packed({"a": b"abcdefgh"}, zipfile.ZIP_STORED).replace(b"abc", b"abd"),
        Reason.NOT_A_MODEL,
        "damaged zip",
    ),
    "nothing but a head": (lambda: b"PK\3\4", Reason.NOT_A_MODEL, "damaged zip"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_writes_nothing_outside_and_says_why(tmp_path: Path, case: str) -> None:
    make, reason, words = HOSTILE[case]
    with pytest.raises(ArtifactError) as caught:
        unpacked(tmp_path, make())
    assert caught.value.reason is reason
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_no_more_comes_out_than_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="more than is fetched"):
        unpacked(tmp_path, archives.packed({"a": bytes(1000)}), most=999)


def test_only_zips_are_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(__file__, "model.py")
    assert not is_archive(tmp_path / "a.tar.gz")
    (tmp_path / "empty").touch()
    assert not is_archive(tmp_path / "empty")


MEASURED = """
import resource, sys
from pathlib import Path
from tiltyard_engine.archive import unpack
from tiltyard_engine.sources.base import ArtifactError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]), 1 << 40)
except ArtifactError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize("case", ["a million files", "a bomb"])
def test_memory_stays_flat(tmp_path: Path, case: str) -> None:
    (tmp_path / "a.zip").write_bytes(HOSTILE[case][0]())
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "a.zip"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 24, "MiB"
