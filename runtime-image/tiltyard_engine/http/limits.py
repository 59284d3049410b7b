"""How much one client may ask of the server, and for how long."""

from dataclasses import dataclass

from tiltyard_api.limits import LIMITS


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything a client could otherwise exhaust.

    Attributes:
        max_body: bytes of a request's body, as sent and once unpacked.
        max_header_bytes: bytes of a request's line and headers together.
        max_header_count: header lines of a request.
        max_uri: bytes of a request's target.
        max_connections: open connections; one more is answered 503.
        max_pipelined: requests of one connection that wait for their answers at once; beyond it
            the connection is not read.
        header_timeout: seconds for a request's head from its first byte, and for the first byte
            of a new connection.
        body_timeout: seconds for a request's whole body, from the end of its head.
        keep_alive: seconds that a connection may stay idle between requests.
        write_timeout: seconds for a client to take the answers that have piled up for it.
        linger: seconds to wait for a client to close after our last answer, so that what it still
            sends does not reset the connection before it has read that answer.

    """

    max_body: int = int(LIMITS["max-body"].usual)
    max_header_bytes: int = int(LIMITS["max-header-bytes"].usual)
    max_header_count: int = 100
    max_uri: int = 8 * 1024
    max_connections: int = int(LIMITS["max-connections"].usual)
    max_pipelined: int = 32
    header_timeout: float = LIMITS["header-timeout"].usual
    body_timeout: float = LIMITS["body-timeout"].usual
    keep_alive: float = LIMITS["keep-alive"].usual
    write_timeout: float = 30.0
    linger: float = 5.0
