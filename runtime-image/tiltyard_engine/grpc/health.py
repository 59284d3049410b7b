"""The service `grpc.health.v1.Health`: by service, and by Pipeline as if each were one."""

from collections.abc import Mapping, Sequence
from functools import partial

from tiltyard_engine.grpc.exchange import Exchange, Method
from tiltyard_engine.grpc.messages import Message, message_class
from tiltyard_engine.grpc.metadata import Code
from tiltyard_engine.grpc.unary import parsed, unary
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

    """

    def __init__(self, services: Sequence[str], pipelines: Sequence[ServedPipeline]) -> None:
        self._parts: dict[str, Sequence[ServedPipeline]] = {
            **dict.fromkeys(["", *services], pipelines),
            **{one.plan.pipeline: [one] for one in pipelines},
        }
        self._watching: dict[Exchange, str] = {}
        self._draining = False

    def methods(self) -> Mapping[str, Method]:
        """What is done for each method."""
        listing = message_class(f"{SERVICE}ListRequest")
        return {
            "Check": Method(parsed(_Request, self._check)),
            "List": Method(unary(listing, self._list)),
            "Watch": Method(parsed(_Request, self._watch)),
        }

    def drain(self) -> None:
        """Tell watchers that the engine ends, which ends what they watch."""
        self._draining = True
        watching, self._watching = self._watching, {}
        for exchange, service in watching.items():
            self._tell(exchange, service)
            exchange.finish()

    def _status(self, service: str) -> int:
        parts = self._parts.get(service)
        if parts is None:
            return SERVICE_UNKNOWN
        ready = not self._draining and all(part.ready for part in parts)
        return SERVING if ready else NOT_SERVING

    def _check(self, exchange: Exchange, request: Message) -> None:
        status = self._status(request.service)
        if status == SERVICE_UNKNOWN:
            there = ", ".join(name for name in self._parts if name)
            details = f"no service {request.service[:64]!r} (there: {there})"
            exchange.abort(Code.NOT_FOUND, details)
        else:
            exchange.answer(_Response(status=status).SerializeToString())

    def _list(self, _request: Message) -> Message:
        answer = _List()
        for service in self._parts:
            answer.statuses[service].status = self._status(service)
        return answer

    def _watch(self, exchange: Exchange, request: Message) -> None:
        """Tell the status now, and once more when the engine ends."""
        service: str = request.service
        self._tell(exchange, service)
        if self._draining:
            exchange.finish()
        else:
            self._watching[exchange] = service
            exchange.left = partial(self._forget, exchange)

    def _forget(self, exchange: Exchange) -> None:
        self._watching.pop(exchange, None)

    def _tell(self, exchange: Exchange, service: str) -> None:
        exchange.send(_Response(status=self._status(service)).SerializeToString())
