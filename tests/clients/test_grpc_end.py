"""How engines that speak gRPC begin and end."""

import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

import graphs
from bare_engines import HOST, Workshop
from grpc_served import PATIENCE, serving, typed
from waiting import eventually

pytestmark = pytest.mark.served


@dataclass
class Load:
    """What became of the calls of clients that never stop."""

    answered: int = 0
    lost: list[str] | None = None


def pressed(address: str, ended: threading.Event, rounds: Iterator[int]) -> Load:
    """Ask until told to end; what is refused because the engine ends is tried no more."""
    load = Load(lost=[])
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while not ended.is_set():
            n = float(next(rounds) % 1000)
            try:
                answer = stub.ModelInfer(typed("plain", "float32", [[n, n, n]]), timeout=PATIENCE)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    load.lost.append(str(error))
                break
            assert list(answer.outputs[0].contents.fp32_contents) == [2 * n] * 3
            load.answered += 1
    return load


def test_two_workers_drain_under_load(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    plain = workshop.compile("plain", {"m": graphs.scaled(2, 3)}, [{"name": "run", "model": "m"}])
    ended, rounds = threading.Event(), itertools.count()
    with (
        serving(workshop, plain, workers=2, drain_delay="200ms") as served,
        ThreadPoolExecutor(8) as clients,
        grpc.insecure_channel(served.address) as channel,
    ):
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        seen = iter(watched)
        assert next(seen).status == health_pb2.HealthCheckResponse.SERVING
        loads = [clients.submit(pressed, served.address, ended, rounds) for _ in range(8)]
        labels = {"protocol": "grpc", "code": "200"}
        eventually(
            lambda: served.engine.metric("tiltyard_requests_total", **labels), lambda n: n > 200
        )
        begun = time.monotonic()
        assert served.engine.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 25, "open streams must not hold the end up"
        ended.set()
        assert [one.status for one in seen][-1] == health_pb2.HealthCheckResponse.NOT_SERVING
        found = [load.result() for load in loads]
    assert [load.lost for load in found] == [[]] * 8
    assert sum(load.answered for load in found) > 200


def test_a_call_that_runs_is_finished_by_the_drain(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    one = [{"name": "run", "model": "m"}]
    slow = workshop.compile("slow", {"m": graphs.endless()}, one, m={"timeout": "1500ms"})
    with serving(workshop, slow) as served, served.stub() as stub:
        later = stub.ModelInfer.future(typed("slow", "float32", [[2e6]]))
        eventually(lambda: served.engine.metric("tiltyard_in_flight_requests"), lambda n: n > 0)
        assert served.engine.end() == 0
        assert dict(later.trailing_metadata())["x-tiltyard-reason"] == "ModelTimeout"


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415 - here alone

    workshop = Workshop(tmp_path)
    plain = workshop.compile("plain", {"m": graphs.scaled(2, 3)}, [{"name": "run", "model": "m"}])
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ("--port", "0", "--management-port", "0", "--grpc-port", port)
        done = subprocess.run(
            workshop.command([plain], *flags), capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
