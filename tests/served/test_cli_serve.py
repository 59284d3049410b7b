"""`tiltyard serve` as a user runs it: real processes, real sockets."""

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from engines import EXAMPLES, TILTYARD, serving
from manifests import bike_document, bike_record, write
from programs import alive, command_line, descendants, tiltyard
from tools import need

pytestmark = pytest.mark.served

ANY_PORTS = ("--port", "0", "--management-port", "0", "--grpc-port", "0")


@pytest.mark.parametrize("example", ["bike-demand", "digits", "forecast", "rare-events"])
def test_the_ready_line_proposes_a_command_that_works(example: str) -> None:
    need("curl")
    with serving(EXAMPLES / example / "pipeline.yaml") as served:
        run = subprocess.run(
            shlex.split(served.try_command), capture_output=True, check=True, timeout=30
        )
        (row,) = json.loads(run.stdout)
        assert row["out"]
        assert served.get("/readyz") == "ok\n"


def test_several_pipelines_share_an_engine(tmp_path: Path) -> None:
    both = write(tmp_path / "both.yaml", bike_document(name="one"), bike_document(name="two"))
    third = write(tmp_path / "third.yaml", bike_document(name="three"))
    with serving(both, manifests=(third,)) as served:
        for name in ("one", "two", "three"):
            assert served.infer([bike_record()], name)
        assert [one["name"] for one in served.status()["pipelines"]] == ["one", "two", "three"]


def test_a_suspended_pipeline_is_not_served_and_that_is_said(tmp_path: Path) -> None:
    resting = bike_document(name="resting")
    resting["spec"]["suspend"] = True
    manifest = write(tmp_path / "both.yaml", bike_document(), resting)
    with serving(manifest) as served:
        assert [one["name"] for one in served.status()["pipelines"]] == ["bikes"]
        assert served.notices[0] == "not served, since it is suspended: resting\n"


def test_nothing_but_suspended_pipelines_cannot_be_served(tmp_path: Path) -> None:
    resting = bike_document(name="resting")
    resting["spec"]["suspend"] = True
    run = tiltyard("serve", write(tmp_path / "p.yaml", resting))
    assert run.returncode == 1
    assert run.stderr == (
        "resting is suspended, nothing is left to serve: set spec.suspend to false\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    with serving(write(tmp_path / "p.yaml", bike_document()), "--workers", "2") as served:
        processes = descendants(served.process.pid)
        assert len(processes) == 4, "supervisor, management and two workers"
        assert served.end(number) == 0
        assert not [one for one in processes if alive(one)]
        assert served.news == []


@pytest.mark.parametrize("phase", ["tiltyard_engine.fetch", "--management-fd"])
def test_ctrl_c_ends_it_in_order_while_it_starts(tmp_path: Path, phase: str) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document())
    process = subprocess.Popen(
        [TILTYARD, "serve", str(manifest), *ANY_PORTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not any(phase in command_line(one) for one in descendants(process.pid)):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate(timeout=30)
    assert (process.returncode, *said) == (0, "", "")


def test_a_killed_command_line_leaves_no_process_behind(tmp_path: Path) -> None:
    with serving(write(tmp_path / "p.yaml", bike_document()), "--workers", "2") as served:
        processes = descendants(served.process.pid)
        served.end(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while left := [one for one in processes if alive(one)]:
            assert time.monotonic() < deadline, f"{left} are still there"
            time.sleep(0.05)


def test_the_end_of_the_engine_is_told_in_one_line(tmp_path: Path) -> None:
    with serving(write(tmp_path / "p.yaml", bike_document())) as served:
        (supervisor,) = (one for one in descendants(served.process.pid) if descendants(one))
        os.kill(supervisor, signal.SIGKILL)
        assert served.process.wait(30) == 1
    assert served.news == ["the engine was killed by SIGKILL and nothing is served: start again\n"]


def test_limits_reach_the_engine(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document())
    with serving(manifest, "--max-rows", "2") as served:
        run = tiltyard(
            *("infer", "bikes", "--data", "-", "--url", served.url),
            data=json.dumps([bike_record()] * 3),
        )
        assert run.returncode == 1
        assert run.stderr.startswith("TooManyRows")


@pytest.mark.parametrize("option", ["--port", "--management-port"])
def test_a_taken_port_is_told_in_one_line(tmp_path: Path, option: str) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        rest = {"--port": "0", "--management-port": "0", option: str(port)}
        run = tiltyard("serve", manifest, *(word for pair in rest.items() for word in pair))
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"cannot listen on 127.0.0.1 port {port}: something does already;"
        f" stop it or choose another {option}\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("serve", "x.yaml", "--port", "65536"),
        ("serve", "x.yaml", "--max-body", "16 megabytes"),
        ("serve", "x.yaml", "--max-depth", "3"),
        ("serve", "x.yaml", "--workers", "0"),
        ("infer", "x"),
        ("infer", "x", "--data", "-", "-o", "xml"),
        ("sing",),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    run = tiltyard(*arguments)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
