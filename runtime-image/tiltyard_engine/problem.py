"""The answer to a request that gets none: JSON with a stable reason and a message for people."""

import json

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.message import Response

JSON = b"Content-Type: application/json\r\n"
RETRY = {429: b"Retry-After: 1\r\n", 503: b"Retry-After: 1\r\n"}
"""Shedding passes within a second or two; a client that comes back then finds room."""


def problem(refusal: Refusal, headers: bytes = b"") -> Response:
    """Encode a refusal."""
    body: dict[str, object] = {
        "code": refusal.status,
        "status": "error",
        "error": refusal.message,
        "source": "engine",
        "reason": refusal.reason,
    }
    if refusal.field is not None:
        body["field"] = refusal.field
    if refusal.row is not None:
        body["row"] = refusal.row
    lines = JSON + RETRY.get(refusal.status, b"") + headers
    return Response(refusal.status, json.dumps(body).encode(), lines)
