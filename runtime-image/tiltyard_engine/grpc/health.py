"""The service `grpc.health.v1.Health`: by service, and by Pipeline as if each were one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import grpc

from tiltyard_engine.grpc.messages import Message, message_class
from tiltyard_engine.grpc.transport import Context
from tiltyard_engine.pipeline import ServedPipeline

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

_Request = message_class(f"{SERVICE}CheckRequest")
_Response = message_class(f"{SERVICE}CheckResponse")
_List = message_class(f"{SERVICE}ListResponse")


class Health:
    """Tells who can be asked.

    Args:
        services: names of services, which can be asked when all Pipelines can.
        pipelines: each is known by its name too.
        draining: set when the engine ends.

    """

    def __init__(
        self, services: Sequence[str], pipelines: Sequence[ServedPipeline], draining: asyncio.Event
    ) -> None:
        self._parts: dict[str, Sequence[ServedPipeline]] = {
            **dict.fromkeys(["", *services], pipelines),
            **{one.plan.pipeline: [one] for one in pipelines},
        }
        self._draining = draining

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """A handler for each method."""
        listing = message_class(f"{SERVICE}ListRequest")
        parse, write = _Request.FromString, _Response.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, parse, write),
            "List": grpc.unary_unary_rpc_method_handler(
                self._list, listing.FromString, _List.SerializeToString
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, parse, write),
        }

    def _status(self, service: str) -> int:
        parts = self._parts.get(service)
        if parts is None:
            return SERVICE_UNKNOWN
        ready = not self._draining.is_set() and all(part.ready for part in parts)
        return SERVING if ready else NOT_SERVING

    async def _check(self, request: Message, context: Context) -> Message:
        status = self._status(request.service)
        if status == SERVICE_UNKNOWN:
            there = ", ".join(name for name in self._parts if name)
            details = f"no service {request.service[:64]!r} (there: {there})"
            await context.abort(grpc.StatusCode.NOT_FOUND, details)
        return _Response(status=status)

    async def _list(self, _request: Message, _context: Context) -> Message:
        answer = _List()
        for service in self._parts:
            answer.statuses[service].status = self._status(service)
        return answer

    async def _watch(self, request: Message, _context: Context) -> AsyncIterator[Message]:
        """Tell the status now and when the engine ends, which ends the stream too."""
        yield _Response(status=self._status(request.service))
        await self._draining.wait()
        yield _Response(status=self._status(request.service))
