"""Between grpcio's words and ours: metadata and headers, statuses and codes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import grpc

from tiltyard_engine.http.message import Response

Context = Any
"""What grpcio hands to a handler: untyped."""

Metadata = tuple[tuple[str, str], ...]

CODES = MappingProxyType(
    {
        400: grpc.StatusCode.INVALID_ARGUMENT,
        404: grpc.StatusCode.NOT_FOUND,
        408: grpc.StatusCode.CANCELLED,
        413: grpc.StatusCode.RESOURCE_EXHAUSTED,
        500: grpc.StatusCode.INTERNAL,
        503: grpc.StatusCode.UNAVAILABLE,
        504: grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
"""Code of the call for the status that the same refusal has over HTTP."""

MAX_DETAILS = 1000
"""Characters of a message that surely fit into a client's limit for metadata."""

PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def headers_of(context: Context) -> Mapping[bytes, bytes]:
    """Metadata of a call as the data plane knows headers."""
    headers: dict[bytes, bytes] = {}
    for key, value in context.invocation_metadata() or ():
        name = key.encode()
        text = value if isinstance(value, bytes) else value.encode()
        headers[name] = headers[name] + b", " + text if name in headers else text
    return headers


def metadata_of(lines: bytes) -> Metadata:
    """Header lines of an answer as metadata; what it cannot hold is percent-encoded."""
    pairs = (line.partition(": ") for line in lines.decode().splitlines())
    return tuple((name.lower(), quote(value, safe=PRINTABLE)) for name, _, value in pairs)


async def end(context: Context, response: Response) -> None:
    """End a call that gets no answer."""
    code = CODES.get(response.status, grpc.StatusCode.UNKNOWN)
    details = response.body.decode()[:MAX_DETAILS]
    await context.abort(code, details, metadata_of(response.headers))
