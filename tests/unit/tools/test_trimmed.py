"""What images leave out is not missed: every module of a process is imported without it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from images.build import ROOT

SITE = Path(sysconfig.get_path("purelib"))

IMPORT_ALL = """
import importlib, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

RECORDS = """
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"in.x": [1.5, None], "metadata.request": ["a", "b"]}), sys.argv[1])
assert pq.read_metadata(sys.argv[1]).num_rows == 2
"""


def trimmed(folder: Path, listed: Path) -> Path:
    """Lay out the packages that a list names as an image has them."""
    patterns = [line.partition("#")[0].strip() for line in listed.read_text().splitlines()]
    for name in sorted({pattern.partition("/")[0] for pattern in patterns if "/" in pattern}):
        if (SITE / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(SITE / name, folder / name, ignore=ignored, copy_function=os.symlink)
    for libraries in SITE.glob("*.libs"):
        (folder / libraries.name).symlink_to(libraries)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/images/trim.py"), str(folder), str(listed)],
        capture_output=True,
        text=True,
        check=False,
    )
    stale = [line for line in done.stderr.splitlines() if "__pycache__" not in line]
    assert not stale, stale
    return folder


def run(site: Path, code: str, *arguments: str) -> None:
    """Run code whose packages are those of an image first."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("part", "package"), [("runtime-image", "tiltyard_engine"), ("operator", "tiltyard_operator")]
)
def test_every_module_of_an_image_is_imported_without_what_it_leaves_out(
    tmp_path: Path, part: str, package: str
) -> None:
    run(trimmed(tmp_path / "site", ROOT / part / "trim.txt"), IMPORT_ALL, package)


def test_records_are_written_without_what_the_image_leaves_out(tmp_path: Path) -> None:
    site = trimmed(tmp_path / "site", ROOT / "runtime-image/trim.txt")
    run(site, RECORDS, str(tmp_path / "records.parquet"))
