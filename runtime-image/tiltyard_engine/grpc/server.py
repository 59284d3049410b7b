"""The gRPC port of one worker: its own server on the worker's loop, beside those of the others."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc

from tiltyard_engine.app import App
from tiltyard_engine.grpc import health, inference
from tiltyard_engine.grpc.health import Health
from tiltyard_engine.grpc.inference import Inference, not_offered
from tiltyard_engine.grpc.messages import SERVICES
from tiltyard_engine.grpc.reflection import VERSIONS, Reflection
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes

QUIET, QUIET_AT_MOST = 0.05, 1.0
"""Seconds without a call that are waited for before the end, and for how long at most."""

Handlers = Mapping[str, grpc.RpcMethodHandler]


class GrpcServer:
    """Accepts calls until it is told to end."""

    def __init__(
        self, app: App, pipelines: Sequence[ServedPipeline], sizes: Sizes, limits: Limits
    ) -> None:
        self._draining = asyncio.Event()
        self._inference = Inference(app, pipelines, sizes)
        self._server = grpc.aio.server(options=_options(limits))
        reflections = [Reflection(package, self._draining) for package in VERSIONS]
        services: dict[str, Handlers] = {
            inference.SERVICE: self._inference.handlers(),
            health.SERVICE: Health(SERVICES, pipelines, self._draining).handlers(),
            **{one.service: one.handlers() for one in reflections},
        }
        self._server.add_generic_rpc_handlers((_Methods(services),))

    async def start(self, host: str, port: int) -> None:
        """Listen; the kernel divides connections between the workers that share the port.

        Raises:
            RuntimeError: somebody else has the port.

        """
        where = f"[{host}]" if ":" in host else host
        self._server.add_insecure_port(f"{where}:{port}")
        await self._server.start()

    def drain(self) -> None:
        """Tell watchers that it ends; still accept."""
        self._draining.set()

    async def finished(self, grace: float) -> None:
        """Accept nothing more, finish what was accepted, and cut off what takes longer."""
        self._draining.set()
        self._inference.close()
        await self._quiet()
        await self._server.stop(grace)

    async def _quiet(self) -> None:
        """Wait until clients have heard that it ends.

        What has come and is not yet ours when grpcio stops, it cancels; a client may not send that
        again. What we refuse as unavailable, it may.
        """
        deadline = asyncio.get_running_loop().time() + QUIET_AT_MOST
        before = -1
        while self._inference.refused != before and asyncio.get_running_loop().time() < deadline:
            before = self._inference.refused
            await asyncio.sleep(QUIET)


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
    """Finds the handler of a method."""

    def __init__(self, services: Mapping[str, Handlers]) -> None:
        self._methods = {
            f"/{service}/{name}": handler
            for service, handlers in services.items()
            for name, handler in handlers.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Give the handler of a call."""
        method: str = handler_call_details.method
        found = self._methods.get(method)
        if found is None and method.startswith(f"/{inference.SERVICE}/"):
            return not_offered(method)
        return found


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        # A client that vanished without a word is noticed, so that its calls do not pile up.
        ("grpc.keepalive_time_ms", int(limits.keep_alive * 1000)),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
