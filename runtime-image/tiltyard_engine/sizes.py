"""How large the content of one request may be, whatever protocol it comes by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds that decoders keep; the transport has its own."""

    bytes: int = 16 * 1024 * 1024
    """Of what a body unpacks to; also how many elements, so that those without bytes count."""

    rows: int = 65536
    depth: int = 16
