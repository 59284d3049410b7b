"""The client's own id, in the headers that may hold it."""

from collections.abc import Mapping

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal

CLIENT_ID = b"x-tiltyard-inference-id"
MAX_CLIENT_ID = 64


def client_id(
    headers: Mapping[bytes, bytes], header: bytes = CLIENT_ID, name: str = "X-Tiltyard-Inference-Id"
) -> str | None:
    """Read the client's own id from one of the headers that may hold it.

    Raises:
        Refusal: UnknownParameter, when it is empty or too long.

    """
    value = headers.get(header)
    if value is None:
        return None
    if not 0 < len(value) <= MAX_CLIENT_ID:
        raise Refusal(
            Reason.UNKNOWN_PARAMETER,
            f"{name} has {len(value)} characters: send 1 to {MAX_CLIENT_ID}",
            field=name,
        )
    return value.decode("utf-8", "surrogateescape")
