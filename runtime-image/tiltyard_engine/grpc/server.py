"""The gRPC port of one worker: its own server on the worker's loop, beside those of the others."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from tiltyard_engine.app import App
from tiltyard_engine.grpc import health, inference
from tiltyard_engine.grpc.calls import Calls
from tiltyard_engine.grpc.exchange import Terms
from tiltyard_engine.grpc.health import Health
from tiltyard_engine.grpc.inference import Inference
from tiltyard_engine.grpc.messages import SERVICES
from tiltyard_engine.grpc.reflection import VERSIONS, Reflection
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import Listener
from tiltyard_engine.http2.connection import Connection
from tiltyard_engine.http2.service import Service
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes


class GrpcServer(Listener):
    """Accepts calls until it is told to end."""

    def __init__(
        self, app: App, pipelines: Sequence[ServedPipeline], sizes: Sizes, limits: Limits
    ) -> None:
        self._health = Health(SERVICES, pipelines)
        reflections = [Reflection(package) for package in VERSIONS]
        services = {
            inference.SERVICE: Inference(app, pipelines, sizes).methods(),
            health.SERVICE: self._health.methods(),
            **{one.service: one.methods() for one in reflections},
        }
        terms = Terms(limits, asyncio.get_running_loop(), app.count_stray)
        self._calls = Calls(services, terms)
        service = Service(self._calls.begin, limits)
        super().__init__(service, lambda: Connection(service))

    def announce_end(self) -> None:
        """Tell watchers that the engine ends; go on answering."""
        self._health.drain()

    @override
    def drain(self) -> None:
        """Ask every client to leave, and end what would never end by itself."""
        self._calls.hang_up()
        super().drain()
