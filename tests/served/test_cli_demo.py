"""`tiltyard demo`: what a newcomer sees first."""

import os
import pty
import signal
import socket
import subprocess
from contextlib import closing

import pytest

from engines import TILTYARD
from programs import tiltyard

pytestmark = pytest.mark.served


def test_demo_once_prints_what_each_variant_made_of_real_traffic() -> None:
    run = tiltyard("demo", "--once")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[1] == "sending 2002 records, one a request"
    head, *rows = lines[2:]
    assert head.split() == [
        "variant",
        "wanted",
        "got",
        "requests",
        "p50",
        "ms",
        "p99",
        "ms",
        "mean",
        "abs",
        "error",
    ]
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    assert list(cells) == ["bike-gb", "bike-rf"]
    requests = {name: int(values[2]) for name, values in cells.items()}
    assert sum(requests.values()) == 2002
    for name, wanted in {"bike-gb": 2 / 3, "bike-rf": 1 / 3}.items():
        assert cells[name][0] == f"{wanted:.1%}"
        assert abs(requests[name] / 2002 - wanted) < 0.05
        p50, p99, error = map(float, cells[name][3:])
        assert 0 < p50 <= p99 < 1000
        assert 10 < error < 60


def test_demo_on_a_terminal_shows_progress_and_goes_on_serving() -> None:
    terminal, theirs = pty.openpty()
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        process = subprocess.Popen(
            [TILTYARD, "demo"], stdout=theirs, stderr=subprocess.PIPE, text=True
        )
        os.close(theirs)
        shown = ""
        while "try:\r\ncurl -s http" not in shown:
            shown += os.read(terminal, 4096).decode()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    os.close(terminal)
    assert process.returncode == 0
    assert "port 8080 is taken: free ones are used\n" in said
    assert "/2002" in shown, "the bar counts"
