"""Our server beside h11: what one takes for a request, the other must take for the same.

Where we are stricter we refuse. The one thing that we take and h11 refuses is taken out before h11
sees it: empty lines before a request, which RFC 9112, 2.2 wants ignored.
"""

from dataclasses import dataclass

import h11
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_engine.http.message import Request, Response
from wire import Wire, cut

NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~"
RESERVED = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade",
            "content-encoding"}  # fmt: skip

methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
targets = st.from_regex(
    r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]{0,30}(\?[A-Za-z0-9=&?/%]{0,20})?", fullmatch=True
)
names = st.text(NAME, min_size=1, max_size=12).filter(lambda name: name.lower() not in RESERVED)
values = st.from_regex(r"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
headers = st.lists(st.tuples(names, values.map(lambda value: value.encode("latin-1"))), max_size=6)
places = st.lists(st.integers(min_value=0), max_size=12)


@dataclass
class Seen:
    """A request, as far as both programs can tell it."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request as h11's client writes it: without body, sized, or in chunks."""
    client = h11.Connection(h11.CLIENT)
    pieces = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=4))
    framing: list[tuple[str, bytes]] = []
    if pieces or draw(st.booleans()):
        size = sum(map(len, pieces))
        chunked = draw(st.booleans())
        framing = [("Transfer-Encoding", b"chunked")] if chunked else [
            ("Content-Length", b"%d" % size)]  # fmt: skip
    lines = [("Host", b"example.org:80"), *draw(headers), *framing]
    out = client.send(h11.Request(method=draw(methods), target=draw(targets), headers=lines))
    for piece in pieces:
        out += client.send(h11.Data(data=piece))
    return out + client.send(h11.EndOfMessage())


def seen_by_h11(stream: bytes) -> list[Seen]:
    """Give the requests that h11's server finds before it refuses, lacks bytes or hangs up."""
    seen: list[Seen] = []
    persistent = True
    while persistent and stream:
        while stream.startswith(b"\r\n"):
            stream = stream[2:]
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        server.receive_data(stream)
        try:
            one = _next_of_h11(server)
        except h11.RemoteProtocolError:
            break
        if one is None:
            break
        seen.append(one)
        stream = server.trailing_data[0]
        server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        server.send(h11.EndOfMessage())
        persistent = server.our_state is h11.DONE
    return seen


def _next_of_h11(server: h11.Connection) -> Seen | None:
    request = server.next_event()
    if not isinstance(request, h11.Request):
        return None
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    if not isinstance(event, h11.EndOfMessage):
        return None
    return Seen(request.method.decode(), request.target.decode(), list(request.headers), body)


def as_we_join(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in lines:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def as_h11_sees(request: Request, target: str) -> Seen:
    """Give our view of a request in h11's terms; of the target, what it tells of a path."""
    path, mark, query = target.partition("?")
    same = (request.path, request.query) == (path, query)
    ours = target if same else f"{request.path}{mark}{request.query}"
    return Seen(request.method, ours, [], request.body)


@given(st.lists(requests(), min_size=1, max_size=4), places)
def test_what_h11_sends_is_what_the_handler_sees(streams: list[bytes], where: list[int]) -> None:
    stream = b"".join(streams)
    wire = Wire()
    wire.feed(cut(stream, where))
    expected = seen_by_h11(stream)
    assert len(wire.requests) == len(expected) == len(streams)
    for request, seen in zip(wire.requests, expected, strict=True):
        assert as_h11_sees(request, seen.target) == Seen(seen.method, seen.target, [], seen.body)
        assert request.headers == as_we_join(seen.headers)


@given(st.lists(requests(), min_size=1, max_size=3), places, st.binary(max_size=300),
       st.sampled_from([200, 201, 400, 404, 503]))  # fmt: skip
def test_what_we_answer_is_what_h11_reads(
    streams: list[bytes], where: list[int], body: bytes, status: int
) -> None:
    answer = Response(status, body, b"Content-Type: text/plain\r\nA: b\r\n")
    wire = Wire(lambda _, reply: reply(answer))
    wire.feed(cut(b"".join(streams), where))
    sent = wire.sent
    for stream in streams:
        method, target = stream.split(b" ", 2)[:2]
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target=target, headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(sent)
        response = client.next_event()
        assert isinstance(response, h11.Response)
        assert response.status_code == status
        assert (b"a", b"b") in list(response.headers)
        assert (b"content-length", b"%d" % len(body)) in list(response.headers)
        got = b""
        while isinstance(event := client.next_event(), h11.Data):
            got += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        assert got == (b"" if method == b"HEAD" else body)
        sent = client.trailing_data[0]
    assert sent == b""


SHAPES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b"\x0b", b":", b",", b";", b"0", b"5",
     b"+", b"0x", b"\r\n ", b"chunked", b"identity", b"Transfer-Encoding: chunked\r\n",
     b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding:\tchunked\r\n",
     b"transfer-encoding: Chunked \r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
     b"Content-Length: 05\r\n", b"content-length:7\r\n", b"Content-Length: 5, 5\r\n",
     b"Host: y\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n",
     b"0\r\n\r\n", b"5\r\nhello\r\n", b"1;a=b\r\nx\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
     b"HTTP/1.1", b"\xff", b"\xc2\xa0", b"\x85"]
)  # fmt: skip


@st.composite
def hostile_streams(draw: st.DrawFn) -> bytes:
    """Requests into which pieces of other requests, or of nothing, have been put."""
    stream = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        line_starts = [at + 2 for at in range(len(stream)) if stream.startswith(b"\r\n", at)]
        at = draw(st.one_of(st.sampled_from(line_starts), st.integers(0, len(stream))))
        gone = draw(st.sampled_from([0, 0, 0, 1, 2]))
        stream = stream[:at] + draw(SHAPES) + stream[at + gone :]
    return stream


@given(hostile_streams(), places)
def test_what_we_accept_h11_reads_alike(stream: bytes, where: list[int]) -> None:
    wire = Wire()
    wire.feed(cut(stream, where))
    expected = seen_by_h11(stream)
    assert len(wire.requests) <= len(expected), "we took for a request what h11 did not"
    for request, seen in zip(wire.requests, expected, strict=False):
        assert as_h11_sees(request, seen.target) == Seen(seen.method, seen.target, [], seen.body)
        assert request.headers == as_we_join(seen.headers)


@given(hostile_streams(), places)
def test_where_the_bytes_are_cut_changes_nothing(stream: bytes, where: list[int]) -> None:
    whole, pieces = Wire(), Wire()
    whole.feed([stream])
    pieces.feed(cut(stream, where))
    assert pieces.requests == whole.requests
    assert pieces.ended == whole.ended


@given(st.binary(max_size=2000), places)
def test_nothing_that_comes_raises(stream: bytes, where: list[int]) -> None:
    wire = Wire()
    wire.feed(cut(stream, where))
    assert wire.requests == []
