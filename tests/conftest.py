"""Options and profiles of every test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import rests
from cluster.binaries import Binaries, MissingError, find
from cluster.shared import SUMMARY

settings.register_profile("dev", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

PURE = ("properties", "unit/api", "unit/core")
"""Folders whose tests start nothing: they pass or fail, whatever else a machine does."""

TRIES_AGAIN = 2
"""How often a failed test of real processes is tried again; the summary lists each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try tests of real processes again; a control plane on two busy cores is late now and then."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).as_posix()
        if not folder.startswith(PURE):
            item.add_marker(pytest.mark.flaky(reruns=TRIES_AGAIN))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which control plane the tests used; only this process still writes to the terminal."""
    plane = config._tmp_path_factory.getbasetemp() / "control-plane"
    if (plane / SUMMARY).exists():
        terminalreporter.write_line((plane / SUMMARY).read_text().strip())
        terminalreporter.write_line(rests.summary(plane.glob("plane-*")))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the code gives into tests/golden; review the diff like code",
    )


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """Programs of the control plane; without them skip, but fail where CI promises to have them."""
    try:
        return find()
    except MissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
