"""GET by plain HTTP or HTTPS: the only HTTP client that follows what a manifest names.

Every host, also one that a redirect names, is resolved once and judged, and the judged address is
the one that is spoken to. Credentials never go to another host than the one they are meant for.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.addresses import AddressRefused
from tiltyard_engine.sources.base import (
    CHUNK,
    Access,
    ArtifactError,
    PassingError,
    Pieces,
    Stream,
    shown,
    unreachable_elsewhere,
)

REDIRECTS = 5
MOVED = (301, 302, 303, 307, 308)
DENIED = (401, 403)
GONE = (404, 410)
PASSING = (408, 425, 429, 500, 502, 503, 504)

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    stream: Stream
    first: http.client.HTTPMessage
    """Headers of the first server that was asked, whatever it redirected to."""


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was judged."""

    def __init__(self, url: SplitResult, access: Access, tls: ssl.SSLContext | None) -> None:
        port = 443 if tls else 80
        timeout = min(access.limits.silence, access.remaining(url.geturl()))
        super().__init__(url.hostname or "", url.port or port, timeout=timeout)
        self._silence, self._access, self._tls = timeout, access, tls

    def connect(self) -> None:
        """Connect, and speak TLS where it is HTTPS."""
        sock = self._access.addresses.connect(self.host, self.port, self._silence)
        self.sock = self._tls.wrap_socket(sock, server_hostname=self.host) if self._tls else sock


@contextmanager
def get(url: str, access: Access, headers: Headers, secrets: Headers) -> Iterator[Answer]:
    """Ask for a URL, through redirects.

    Args:
        url: where.
        access: limits, addresses, and a certificate of the Secret if it has one.
        headers: what to send to every host.
        secrets: what to send to the host of the URL and to no other.

    Raises:
        PassingError: nobody answers, or the server says that it may later.
        ArtifactError: the way to the answer is refused.

    """
    home = origin(url)
    with ExitStack() as stack:
        first = None
        for _ in range(REDIRECTS + 1):
            mine = {**headers, **(secrets if origin(url) == home else {})}
            answer = stack.enter_context(_asked(url, access, mine))
            first = first or answer.headers
            if answer.status not in MOVED:
                yield replace(answer, first=first)
                return
            url = _next(answer, home)
    raise ArtifactError(
        ConditionReason.SOURCE_UNAVAILABLE,
        f"{shown(answer.url)} redirects in a circle, or more than {REDIRECTS} times:"
        " name where it leads",
    )


@contextmanager
def fetched(url: str, access: Access, headers: Headers, secrets: Headers) -> Iterator[Answer]:
    """Ask for a URL that has to be there.

    Raises:
        PassingError, ArtifactError: as `get`, and for what is missing or refused.

    """
    with get(url, access, headers, secrets) as answer:
        expect(answer)
        yield answer


def expect(answer: Answer) -> None:
    """Refuse every answer but the one that was asked for."""
    status, place = answer.status, shown(answer.url)
    if status == 200:
        return
    if status in PASSING:
        raise PassingError(f"{place} answered {status}")
    if status in DENIED:
        remedy = "check the Secret that secretName names, and what it may read"
        raise ArtifactError(ConditionReason.ACCESS_DENIED, f"{place} answered {status}: {remedy}")
    if status in GONE:
        raise ArtifactError(
            ConditionReason.SOURCE_NOT_FOUND, f"{place} answered {status}: correct the uri"
        )
    raise ArtifactError(
        ConditionReason.SOURCE_UNAVAILABLE, f"{place} answered {status}, which gives no artifact"
    )


def origin(url: str) -> tuple[str, str]:
    """Scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _next(answer: Answer, home: tuple[str, str]) -> str:
    """Where a redirect leads."""
    url = urljoin(answer.url, answer.headers.get("Location", ""))
    scheme = urlsplit(url).scheme
    if scheme == "https" or (scheme == "http" and home[0] == "http"):
        return url
    raise ArtifactError(
        ConditionReason.ACCESS_DENIED,
        f"{shown(answer.url)} redirects to {scheme or 'nowhere'}: only https is followed there",
    )


@contextmanager
def _asked(url: str, access: Access, headers: Headers) -> Iterator[Answer]:
    parts = urlsplit(url)
    place = shown(url)
    tls = _context(access) if parts.scheme == "https" else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with ExitStack() as stack:
        with _told(place, access):
            connection = _Connection(parts, access, tls)
            stack.callback(connection.close)
            connection.connect()
            stack.enter_context(_ended(connection.sock, access.remaining(url)))
            connection.request("GET", target, headers={"Accept-Encoding": "identity", **headers})
            response = connection.getresponse()
        stack.callback(response.close)
        length = response.length if response.status == 200 else None
        stream = Stream(_pieces(response, place, access), size=length)
        yield Answer(url, response.status, response.headers, stream, response.headers)


@contextmanager
def _ended(sock: socket.socket, seconds: float) -> Iterator[None]:
    """End a connection at its deadline: a server that drips never stays silent for long."""

    def end() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _pieces(response: http.client.HTTPResponse, place: str, access: Access) -> Pieces:
    while True:
        with _told(place, access):
            piece = response.read1(CHUNK)
        if not piece:
            access.remaining(place)  # an end at the deadline is no end
            return
        yield piece


@contextmanager
def _told(place: str, access: Access) -> Iterator[None]:
    """Say what the network does in words that its user can act on."""
    try:
        yield
    except AddressRefused as error:
        raise unreachable_elsewhere(place, error) from error
    except ssl.SSLCertVerificationError as error:
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{place}: its certificate is not trusted ({error.verify_message}):"
            " put the authority's certificate into the Secret as ca.crt",
        ) from error
    except TimeoutError as error:
        access.remaining(place)
        raise PassingError(f"{place} said nothing for {access.limits.silence:g} s") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise ArtifactError(
            ConditionReason.SOURCE_UNSUPPORTED, f"{place} is no URL: correct it"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        access.remaining(place)
        words = getattr(error, "strerror", None) or type(error).__name__
        raise PassingError(f"{place} cannot be read: {words}") from error


def _context(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority = access.key("ca.crt")
    if authority:
        context.load_verify_locations(cadata=authority)
    return context
