"""The gRPC port: its library is an extra, loaded before the fork where the port is served."""

import socket
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from tiltyard_engine.app import App
from tiltyard_engine.load import LoadError
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.settings import Settings

_SERVER = "tiltyard_engine.grpc.server"


class GrpcPort(Protocol):
    """What a worker does with it."""

    async def start(self, *sockets: socket.socket) -> None:
        """Accept on a socket."""

    def announce_end(self) -> None:
        """Tell watchers that the engine ends; go on answering."""

    def stop_accepting(self) -> None:
        """Take what the kernel has already accepted for us, then close the listening socket."""

    def drain(self) -> None:
        """Ask every client to leave."""

    async def finished(self, grace: float) -> bool:
        """Wait until all connections are gone; abort those that are not after a while."""


def prepare(settings: Settings) -> None:
    """Load the library where it is needed, once for all workers.

    Raises:
        LoadError: the extra is not installed.

    """
    if settings.grpc_wanted:
        if find_spec("google") is None or find_spec("google.protobuf") is None:
            raise LoadError("gRPC needs protobuf: install tiltyard[grpc]")
        import_module(_SERVER)


def make(app: App, pipelines: Sequence[ServedPipeline], settings: Settings) -> GrpcPort:
    """Make the server of a worker; in its loop."""
    port: GrpcPort = import_module(_SERVER).GrpcServer(
        app, pipelines, settings.sizes, settings.limits
    )
    return port
