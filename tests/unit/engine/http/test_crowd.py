"""As many idle connections as api.md promises."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback import PATIENCE, Client

CROWD = 10_000
SPARE = 300
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SUPPORT = Path(__file__).parents[3] / "support"


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + SPARE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        message = f"{CROWD} connections need {wanted} open files; the hard limit here is {hard}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def program(many_files: None) -> Iterator[subprocess.Popen[str]]:  # noqa: ARG001 - sets a limit
    # A process of its own: both ends of 10,000 connections are more files than one may have.
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(SUPPORT / "crowd.py"), str(CROWD)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as program:  # fmt: skip
        yield program


def test_ten_thousand_idle_connections_cost_little_and_hinder_nobody(
    program: subprocess.Popen[str],
) -> None:
    assert program.stdout is not None
    address = ("127.0.0.1", int(program.stdout.readline()))
    crowd = []
    for _ in range(CROWD - 1):
        sock = socket.create_connection(address, timeout=PATIENCE)
        sock.sendall(GET)
        assert sock.recv(12) == b"HTTP/1.1 200"
        crowd.append(sock)
    with Client(socket.create_connection(address, timeout=PATIENCE)) as client:
        started = time.monotonic()
        for _ in range(100):
            client.send(GET)
            assert client.answer().status == 200
        assert time.monotonic() - started < 60
        with Client(socket.create_connection(address, timeout=PATIENCE)) as extra:
            assert extra.answer().status == 503
    for sock in crowd:
        sock.close()
    memory, _ = program.communicate()
    assert int(memory) < 200_000, "kilobytes of resident memory"
