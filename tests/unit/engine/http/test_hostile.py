"""Byte streams that must not pass: what each is answered, and that its connection ends."""

from collections.abc import Iterator

import pytest

from loopback import Served, serving
from tiltyard_engine.http.limits import Limits

OK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = Limits(max_body=1000, max_header_bytes=4096, max_header_count=20, max_uri=300)
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(*lines: bytes, first: bytes = b"POST / HTTP/1.1", host: bool = True) -> bytes:
    return b"\r\n".join((first, *([b"Host: x"] if host else []), *lines, b"", b""))


MALFORMED = {
    # framing: two lengths for one body
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "two lengths that differ": head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "two lengths that agree": head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
    "a list of lengths": head(b"Content-Length: 5, 5") + b"hello",
    "a signed length": head(b"Content-Length: +5") + b"hello",
    "a negative length": head(b"Content-Length: -5") + b"hello",
    "a hexadecimal length": head(b"Content-Length: 0x5") + b"hello",
    "a length with a space inside": head(b"Content-Length: 1 0") + b"hello",
    "an empty length": head(b"Content-Length:") + b"hello",
    "a length of 25 digits": head(b"Content-Length: " + b"9" * 25),
    "a length of 2000 zeros": head(b"Content-Length: " + b"0" * 2000),
    "a length in other digits": head(b"Content-Length: \xd9\xa5"),
    "gzip and chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked, then identity": head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "identity, then chunked": head(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
    "nearly chunked": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked in quotes": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "chunked after a vertical tab": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "an empty transfer encoding": head(b"Transfer-Encoding:"),
    "chunked in 1.0": head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"),
    # header lines
    "a space before the colon": head(b"Content-Length : 5") + b"hello",
    "a tab before the colon": head(b"Transfer-Encoding\t: chunked"),
    "a folded line": head(b"A: b", b" c"),
    "a folded length": head(b"Content-Length:", b" 5") + b"hello",
    "a space before the first header": head(b" A: b", host=False),
    "a line feed alone": b"GET / HTTP/1.1\nHost: x\n\n",
    "a line feed alone in the midst": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "a carriage return alone": b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "two carriage returns": b"GET / HTTP/1.1\r\nHost: x\r\r\n\r\n",
    "a line feed alone before the end": b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    "NUL in a value": head(b"A: b\0c"),
    "NUL in a name": head(b"A\0: b"),
    "a control character in a value": head(b"A: b\x01c"),
    "a delete character in a value": head(b"A: b\x7fc"),
    "a header without a colon": head(b"hello"),
    "a header without a name": head(b": b"),
    "a name in quotes": head(b'"A": b'),
    "a name with a high byte": head(b"\xc3\xa4: b"),
    # host
    "no host": head(host=False),
    "two hosts": head(b"Host: y"),
    "two hosts that agree": head(b"host: x"),
    "two hosts in 1.0": head(b"Host: y", first=b"GET / HTTP/1.0"),
    "a host with a space": head(b"Host: x y", host=False),
    "a host with a path": head(b"Host: x/y", host=False),
    "a host with a user": head(b"Host: x@y", host=False),
    # request line
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 in full": head(first=b"GET / HTTP/0.9"),
    "HTTP/1.2": head(first=b"GET / HTTP/1.2"),
    "HTTP/2.0": head(first=b"GET / HTTP/2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in lower case": head(first=b"GET / http/1.1"),
    "RTSP": head(first=b"DESCRIBE / RTSP/1.0"),
    "ICE": head(first=b"SOURCE / ICE/1.0"),
    "two spaces after the method": head(first=b"GET  / HTTP/1.1"),
    "two spaces before the version": head(first=b"GET /  HTTP/1.1"),
    "a space after the version": head(first=b"GET / HTTP/1.1 "),
    "a space in the target": head(first=b"GET /a b HTTP/1.1"),
    "a tab for a space": head(first=b"GET\t/ HTTP/1.1"),
    "a high byte in the target": head(first=b"GET /\xff HTTP/1.1"),
    "a control character in the target": head(first=b"GET /\x01 HTTP/1.1"),
    "a target without a slash": head(first=b"GET a HTTP/1.1"),
    "an asterisk for GET": head(first=b"GET * HTTP/1.1"),
    "a target of another scheme": head(first=b"GET ftp://x/ HTTP/1.1"),
    "CONNECT": head(first=b"CONNECT x:1 HTTP/1.1"),
    "CONNECT to a path": head(first=b"CONNECT / HTTP/1.1"),
    "a method nobody knows": head(first=b"BREW / HTTP/1.1"),
    "a method in lower case": head(first=b"get / HTTP/1.1"),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "no HTTP at all": b"hello\r\n\r\n",
    # chunks
    "a chunk without a size": CHUNKED + b"\r\nhello\r\n",
    "a chunk of a size in words": CHUNKED + b"five\r\nhello\r\n",
    "a chunk of a signed size": CHUNKED + b"+5\r\nhello\r\n",
    "a chunk of a negative size": CHUNKED + b"-5\r\nhello\r\n",
    "a chunk of a size with 0x": CHUNKED + b"0x5\r\nhello\r\n",
    "a chunk of a size of 17 digits": CHUNKED + b"00000000000000005\r\nhello\r\n",
    "a chunk with a space before its size": CHUNKED + b" 5\r\nhello\r\n",
    "a chunk with a space after its size": CHUNKED + b"5 \r\nhello\r\n",
    "a chunk that is longer than its size": CHUNKED + b"5\r\nhello!\r\n",
    "a chunk that is shorter than its size": CHUNKED + b"5\r\nhell\r\n0\r\n\r\n",
    "a size that ends in a line feed": CHUNKED + b"5\nhello\r\n",
    "content that ends in a line feed": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "an extension with NUL": CHUNKED + b"5;a=\0\r\nhello\r\n",
    "an extension with a line feed": CHUNKED + b"5;a=\nb\r\nhello\r\n",
    "an extension of 2000 bytes": CHUNKED + b"5;" + b"a" * 2000 + b"\r\nhello\r\n",
    "a trailer without a colon": CHUNKED + b"0\r\nhello\r\n\r\n",
    "a trailer that ends in a line feed": CHUNKED + b"0\r\nA: b\n\r\n",
    "a folded trailer": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
}

TOO_MUCH = {
    "a long target": (414, "UriTooLong", head(first=b"GET /" + b"a" * 300 + b" HTTP/1.1")),
    "a target without end": (414, "UriTooLong", b"GET /" + b"a" * 5000),
    "a target of a whole buffer": (414, "UriTooLong", b"GET /" + b"a" * 300_000),
    "long headers": (431, "HeadersTooLarge", head(b"A: " + b"a" * 4096)),
    "headers without end": (431, "HeadersTooLarge", b"GET / HTTP/1.1\r\nA: " + b"a" * 10_000),
    "many headers": (431, "HeadersTooLarge", head(*[b"A: b"] * 20)),
    "many headers without end": (431, "HeadersTooLarge", head(*[b"A: b"] * 30)[:-2]),
    "a long body": (413, "BodyTooLarge", head(b"Content-Length: 1001") + b"a" * 1001),
    "a huge body": (413, "BodyTooLarge", head(b"Content-Length: 9999999999999")),
    "a long chunk": (413, "BodyTooLarge", CHUNKED + b"3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n"),
    "a huge chunk": (413, "BodyTooLarge", CHUNKED + b"ffffffffffffffff\r\n"),
    "many chunks": (413, "BodyTooLarge", CHUNKED + b"1\r\na\r\n" * 1001 + b"0\r\n\r\n"),
    "long extensions": (431, "HeadersTooLarge", CHUNKED + (b"1;" + b"a" * 999 + b"\r\na\r\n") * 5),
    "long trailers": (431, "HeadersTooLarge", CHUNKED + b"0\r\n" + b"A: bcdefg\r\n" * 500),
    "a trailer without end": (431, "HeadersTooLarge", CHUNKED + b"0\r\nA: " + b"a" * 5000),
}

CASES = {name: (400, "MalformedBody", stream) for name, stream in MALFORMED.items()} | TOO_MUCH


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=LIMITS) as served:
        yield served


@pytest.mark.parametrize("name", CASES)
def test_is_refused_by_reason_and_hung_up_on(served: Served, name: str) -> None:
    status, reason, stream = CASES[name]
    served.requests.clear()
    with served.connect() as client:
        client.send(stream + OK)
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (status, reason), answer.json
        assert answer.headers["Connection"] == "close"
        assert client.at_end(), "what follows a refused request must not be taken for a request"
    assert served.requests == []


@pytest.mark.parametrize("name", CASES)
def test_is_refused_alike_when_it_comes_in_pieces(served: Served, name: str) -> None:
    status, reason, stream = CASES[name]
    with served.connect() as client:
        client.send(OK)
        client.answer()
        for at in range(0, min(len(stream), 400), 7):
            client.send(stream[at : at + 7])
        client.send(stream[at + 7 :] + OK)
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (status, reason), answer.json
        assert client.at_end()


@pytest.mark.parametrize("name", CASES)
def test_requests_before_it_are_answered(served: Served, name: str) -> None:
    status, _, stream = CASES[name]
    with served.connect() as client:
        client.send(OK * 3 + stream)
        assert [client.answer().status for _ in range(4)] == [200, 200, 200, status]


def test_messages_name_the_limit_and_the_remedy(served: Served) -> None:
    said = []
    for _, _, stream in TOO_MUCH.values():
        with served.connect() as client:
            client.send(stream)
            said.append(client.answer().json["error"])
    for message in said:
        assert any(limit in message for limit in ("1000", "4096", "20", "300")), message
        assert ";" in message, message
