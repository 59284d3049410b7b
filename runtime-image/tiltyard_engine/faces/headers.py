"""What every face reads of the headers: the client's own id, the variants it pins."""

from collections.abc import Mapping
from functools import lru_cache

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal

CLIENT_ID = b"x-tiltyard-inference-id"
VARIANT = b"x-tiltyard-variant"
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


@lru_cache(maxsize=1024)
def read_pins(value: bytes) -> Mapping[str, str]:
    """Variants that a request asks for: `step=model`, several with commas.

    Raises:
        Refusal: UnknownVariant, when the header has another form.

    """
    pins = {}
    for part in value.decode("latin-1").split(",") if value else ():
        step, equals, variant = part.strip().partition("=")
        if not equals:
            raise Refusal(
                Reason.UNKNOWN_VARIANT,
                f"{part.strip()!r} is not of the form step=model: correct it",
                field="X-Tiltyard-Variant",
            )
        pins[step] = variant
    return pins
