"""How images are made: what is left out, and by whom they are built."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from images.build import IMAGES, ROOT, Builder, BuildError, build, find_builder

TRIM = ROOT / "tools/images/trim.py"
DOCKERFILES = sorted({image.dockerfile for image in IMAGES.values()})


def trim(site: Path, listed: str) -> "subprocess.CompletedProcess[str]":
    """Trim a folder by a list."""
    patterns = site.with_suffix(".txt")
    patterns.write_text(listed)
    command = [sys.executable, str(TRIM), str(site), str(patterns)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A package with what is needed and what is not."""
    package = tmp_path / "site" / "package"
    (package / "tests").mkdir(parents=True)
    for name in ("__init__.py", "core.so", "core.pyx", "tests/test_core.py"):
        (package / name).touch()
    return package.parent


def test_what_is_listed_goes_and_the_rest_stays(site: Path) -> None:
    done = trim(site, "# for developers\npackage/tests\npackage/*.pyx  # sources\n")
    assert done.returncode == 0, done.stderr
    left = {path.name for path in site.rglob("*")}
    assert left == {"package", "__init__.py", "core.so"}


def test_a_pattern_that_matches_nothing_of_a_package_is_named(site: Path) -> None:
    done = trim(site, "package/benchmarks\n")
    assert done.returncode == 1
    assert "package/benchmarks matches nothing any more" in done.stderr


def test_a_package_that_an_edition_lacks_is_no_fault(site: Path) -> None:
    assert trim(site, "other/tests\n").returncode == 0


@pytest.mark.parametrize("name", DOCKERFILES)
def test_processes_are_nobody_and_start_without_a_shell(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert "USER 65532:65532" in lines
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT ")]
    assert json.loads(entry.removeprefix("ENTRYPOINT "))[:2] == ["python", "-m"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_everything_that_is_installed_is_locked(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    installs = [line for line in text.splitlines() if "pip" in line and " install " in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "/wheel/*.whl" in line, line


def fake(folder: Path, name: str, code: int) -> None:
    """Put a program on the path that ends with a code."""
    program = folder / name
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)


def test_the_first_builder_that_works_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "docker", 1)  # a client whose daemon does not run
    fake(tmp_path, "podman", 0)
    fake(tmp_path, "buildah", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_builder().command == (str(tmp_path / "podman"), "build")


def test_no_builder_and_a_build_that_fails_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="none of docker, podman and buildah works here"):
        find_builder()
    fake(tmp_path, "docker", 1)
    broken = Builder((str(tmp_path / "docker"), "build"))
    with pytest.raises(BuildError, match="operator:1 could not be built"):
        build(broken, IMAGES["operator"], "operator:1", {})
