"""Our HTTP/2 as h2spec judges it."""

import subprocess
from pathlib import Path

import pytest

import graphs
from bare_engines import Workshop
from grpc_served import serving
from h2spec import h2spec

pytestmark = [pytest.mark.full, pytest.mark.served, pytest.mark.timeout(900)]

PATIENCE = "20"
"""Seconds that h2spec waits for an answer; most of its cases end long before."""


def test_every_case_of_h2spec_passes(tmp_path: Path) -> None:
    program = h2spec()
    workshop = Workshop(tmp_path)
    plain = workshop.compile("plain", {"m": graphs.scaled(2, 3)}, [{"name": "run", "model": "m"}])
    with serving(workshop, plain) as served:
        host, port = served.address.split(":")
        done = subprocess.run(
            [program, "-h", host, "-p", port, "-o", PATIENCE],
            capture_output=True,
            text=True,
            check=False,
        )
    assert " 0 failed" in done.stdout, done.stdout
    assert " 0 skipped" in done.stdout, done.stdout
    assert done.returncode == 0
