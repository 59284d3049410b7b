"""Servers that object stores are imitated by, each a program of its own, with what one asks it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import boto3

START_SECONDS = 60.0

S3 = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from werkzeug.serving import run_simple
from moto.server import DomainDispatcherApplication, create_backend_app
application = DomainDispatcherApplication(create_backend_app)
run_simple(sys.argv[1], int(sys.argv[2]), application, threaded=True)
"""


LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def program(url: str, *command: object, **environment: str) -> Iterator[None]:
    """Run a server until the block ends; it is up when it answers anything."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    try:
        _wait_for(url, process)
        yield
    finally:
        process.kill()  # what it holds was made for the test
        process.wait(20)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urlopen(url, timeout=2).close()
        except HTTPError:
            return
        except (URLError, ConnectionError, TimeoutError):
            assert process.poll() is None, f"{process.args!r} has ended"
            assert time.monotonic() < deadline, f"{url} says nothing"
            time.sleep(0.05)
        else:
            return


@dataclass
class S3Server:
    """An S3 server; any key opens it."""

    url: str

    def variables(self, **more: str) -> dict[str, str]:
        """What a Secret for it holds."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t",
            "AWS_REGION": "us-east-1",
            **more,
        }

    def client(self) -> Any:
        """The stock client, which objects are made with."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="key",
            aws_secret_access_key="s3cr3t",  # noqa: S106 - of a server that lives for a test
            region_name="us-east-1",
        )


@contextmanager
def s3_server(host: str = LOOPBACK) -> Iterator[S3Server]:
    """Run an S3 server."""
    url = f"http://{host}:{(port := free_port(host))}"
    with program(url, sys.executable, "-c", S3, host, port):
        yield S3Server(url)


def secret_folder(folder: Path, keys: dict[str, str]) -> Path:
    """Write the keys of a Secret as the kubelet mounts them: files behind links."""
    data = folder / "..data"
    data.mkdir(parents=True)
    for name, value in keys.items():
        (data / name).write_text(value)
        (folder / name).symlink_to(f"..data/{name}")
    return folder
