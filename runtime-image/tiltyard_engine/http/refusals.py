"""What the server itself refuses, in words: what is wrong, the limit, and the remedy."""

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.limits import Limits


def malformed(what: str) -> Refusal:
    """Not HTTP/1.1 as it should be; where the next request begins is anyone's guess."""
    return Refusal(Reason.MALFORMED_BODY, f"{what}; the connection is closed")


def target_too_long(limits: Limits) -> Refusal:
    """The target is over the limit."""
    return Refusal(
        Reason.URI_TOO_LONG,
        f"the request's target has more than {limits.max_uri} bytes; put data into the body",
    )


def head_too_large(limits: Limits) -> Refusal:
    """Request line and headers are over the limit."""
    return Refusal(
        Reason.HEADERS_TOO_LARGE,
        f"the request line and headers have more than {limits.max_header_bytes} bytes; "
        "send fewer or shorter headers, or raise --max-header-bytes",
    )


def too_many_headers(limits: Limits) -> Refusal:
    """There are more header lines than the limit."""
    return Refusal(
        Reason.HEADERS_TOO_LARGE,
        f"the request has more than {limits.max_header_count} headers; send fewer",
    )


def framing_too_large(limits: Limits) -> Refusal:
    """A chunked body carries too much that is not body."""
    return Refusal(
        Reason.HEADERS_TOO_LARGE,
        "the extensions and trailers of the chunked body have more than "
        f"{limits.max_header_bytes} bytes; leave them out",
    )


def body_too_large(limits: Limits) -> Refusal:
    """The body is over the limit, whichever way that came out."""
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"the body has more than {limits.max_body} bytes; "
        "send fewer rows per request, or raise --max-body",
    )


def unknown_encoding(encoding: bytes) -> Refusal:
    """The body is packed in a way that we do not unpack."""
    return Refusal(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding.decode('latin-1')!r} is not known; "
        "send the body as it is or with gzip",
        field="Content-Encoding",
    )


def damaged_gzip(why: str) -> Refusal:
    """The body does not unpack."""
    return Refusal(
        Reason.MALFORMED_BODY,
        f"the body is not the gzip that its Content-Encoding says ({why}); send it anew",
        field="Content-Encoding",
    )


def headers_too_late(limits: Limits) -> Refusal:
    """The head is not whole at its deadline."""
    return _too_late("headers", limits.header_timeout, "--header-timeout")


def body_too_late(limits: Limits) -> Refusal:
    """The body is not whole at its deadline."""
    return _too_late("body", limits.body_timeout, "--body-timeout")


def too_many_connections(limits: Limits) -> Refusal:
    """There is no room for one more connection."""
    return Refusal(
        Reason.OVERLOADED,
        f"the server has {limits.max_connections} connections, its limit; "
        "try again later, or raise --max-connections",
    )


def handler_failed() -> Refusal:
    """The application raised; nothing of it goes out."""
    return Refusal(Reason.MODEL_FAILED, "the server failed on this request; its log says why")


def _too_late(what: str, seconds: float, option: str) -> Refusal:
    return Refusal(
        Reason.REQUEST_TIMEOUT,
        f"the request's {what} did not come whole within {seconds:g} s; "
        f"send faster, or raise {option}",
    )
