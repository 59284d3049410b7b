"""How large the content of one request may be, whatever protocol it comes by."""

from dataclasses import dataclass

from tiltyard_api.limits import LIMITS


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds that decoders keep; the transport has its own."""

    bytes: int = int(LIMITS["max-body"].usual)
    """Of what a body unpacks to; also how many elements, so that those without bytes count."""

    rows: int = int(LIMITS["max-rows"].usual)
    depth: int = int(LIMITS["max-depth"].usual)
