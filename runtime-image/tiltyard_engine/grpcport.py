"""The gRPC port, where one was asked for.

Its libraries are an extra of 30 MB with threads of their own: they are loaded by workers, after the
fork, and only then.
"""

import socket
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from tiltyard_engine.app import App
from tiltyard_engine.http.server import bind_shared
from tiltyard_engine.load import LoadError
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.settings import Settings


class GrpcPort(Protocol):
    """What a worker does with it."""

    async def start(self, host: str, port: int) -> None:
        """Listen."""

    def drain(self) -> None:
        """Tell watchers that it ends; still accept."""

    async def finished(self, grace: float) -> None:
        """Accept nothing more, finish what was accepted, and cut off what takes longer."""


def reserve(settings: Settings) -> socket.socket | None:
    """Hold the port that workers will share; None where nothing is to be held.

    Raises:
        LoadError: the extra is not installed.
        OSError: somebody else has the port.

    """
    if settings.grpc_port is None:
        return None
    if not (find_spec("grpc") and find_spec("google.protobuf")):
        raise LoadError("--grpc-port needs grpcio and protobuf: install tiltyard[grpc]")
    if settings.starter.data_sockets:  # who gave us those holds this port for us too
        return None
    return bind_shared(settings.host, settings.grpc_port)


def make(app: App, pipelines: Sequence[ServedPipeline], settings: Settings) -> GrpcPort:
    """Make the server of a worker; in its loop."""
    module = import_module("tiltyard_engine.grpc.server")
    port: GrpcPort = module.GrpcServer(app, pipelines, settings.sizes, settings.limits)
    return port
