"""Leads calls to their methods."""

from collections.abc import Mapping
from weakref import WeakSet

from typing_extensions import override

from tiltyard_engine.grpc import inference
from tiltyard_engine.grpc.exchange import Conversation, Exchange, Method, Terms
from tiltyard_engine.grpc.metadata import HEAD, refusal
from tiltyard_engine.grpc.opening import is_call, judge
from tiltyard_engine.http2.faults import Code
from tiltyard_engine.http2.fields import Head
from tiltyard_engine.http2.hpack import literal
from tiltyard_engine.http2.streams import Sink, Stream

_NO_CALL_HEAD = literal(b":status", b"415") + literal(b"content-type", b"text/plain")
_NO_CALL = b"This port speaks gRPC: send a POST with content-type application/grpc.\n"


class Calls:
    """Every method of every service."""

    def __init__(self, services: Mapping[str, Mapping[str, Method]], terms: Terms) -> None:
        self._terms = terms
        self._methods = {
            f"/{service}/{name}".encode(): method
            for service, methods in services.items()
            for name, method in methods.items()
        }
        self._conversations = WeakSet[Conversation]()

    def begin(self, head: Head, stream: Stream) -> Sink:
        """Begin a call."""
        if not is_call(head):
            return _NoCall(stream)
        opening = judge(head, self._why_not)
        if opening.fault is not None:
            self._terms.count_stray(opening.fault.status, "grpc")
            stream.end(HEAD + refusal(opening.fault.code, opening.fault.details))
            return _Deaf(stream)
        method = self._methods[opening.method]
        if not method.many:
            return Exchange(head, stream, method, opening, self._terms)
        conversation = Conversation(head, stream, method, opening, self._terms)
        self._conversations.add(conversation)
        return conversation

    def hang_up(self) -> None:
        """End the calls that end when their clients like."""
        for conversation in tuple(self._conversations):
            conversation.finish()

    def _why_not(self, path: bytes) -> str | None:
        """Say what is wrong with a path that leads to no method."""
        if path in self._methods:
            return None
        service, _, name = path.decode("latin-1")[:200].removeprefix("/").rpartition("/")
        if service != inference.SERVICE:
            return f"there is no service {service!r} with {name!r}: ask for them by reflection"
        if "SharedMemory" in name:
            return f"{name}: shared memory is not offered: send tensors in the message"
        return f"{name}: it is not offered: ask for the service's methods by reflection"


class _Deaf:
    """Reads past a request that has been answered."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def take(self, piece: bytes, *, last: bool) -> None:
        """Let it come."""
        del last
        self._stream.release(len(piece))

    def drained(self) -> None:
        """Nothing waits for it."""

    def expire(self) -> None:
        """Wait no longer."""
        self._stream.reset(Code.CANCEL)

    def lost(self) -> None:
        """Nothing is lost."""


class _NoCall(_Deaf):
    """Tells whoever speaks no gRPC, once the request is whole."""

    @override
    def take(self, piece: bytes, *, last: bool) -> None:
        super().take(piece, last=last)
        if last:
            self._stream.page(_NO_CALL_HEAD, _NO_CALL)
