"""What the process says where it cannot even start."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LEAST = {
    "PATH": os.environ["PATH"],
    "TILTYARD_ENGINE_IMAGE": "engine:1",
    "POD_NAME": "operator-0",
    "POD_NAMESPACE": "tiltyard",
    "TILTYARD_LISTEN": "0",
}


def start(environment: dict[str, str]) -> tuple[int, list[str]]:
    """Exit code, and the error of each line."""
    command = [sys.executable, "-m", "tiltyard_operator"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["message"] for line in lines} == {"cannot start"}
    return done.returncode, [line["error"] for line in lines]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_every_setting_that_is_wrong_has_a_line() -> None:
    code, errors = start({"PATH": os.environ["PATH"], "TILTYARD_WORKERS": "none"})
    assert code == 2
    assert sorted(error.partition(" ")[0].rstrip(":") for error in errors) == [
        "POD_NAME",
        "POD_NAMESPACE",
        "TILTYARD_ENGINE_IMAGE",
        "TILTYARD_WORKERS",
    ]


def test_without_an_api_server_to_ask_it_says_what_it_looked_for(tmp_path: Path) -> None:
    code, errors = start(LEAST | {"KUBECONFIG": str(tmp_path / "none")})
    assert code == 2
    assert len(errors) == 1
    assert "no service account of a pod, and no kubeconfig" in errors[0]


def test_a_port_that_is_taken_is_said(kubeconfig: str) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = start(LEAST | {"KUBECONFIG": kubeconfig, "TILTYARD_LISTEN": port})
    assert code == 2
    assert "in use" in errors[0]
