"""Byte streams that are unusual and fine: what the handler sees of each."""

import gzip
from collections.abc import Iterator

import pytest

from loopback import Served, serving
from tiltyard_engine.http.limits import Limits

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIPPED = gzip.compress(b"hello")


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: x", *lines, b"", body))


def sized(body: bytes, *lines: bytes) -> bytes:
    return post(b"Content-Length: %d" % len(body), *lines, body=body)


CASES = {
    "a body of a length": (sized(b"hello"), {"body": "hello"}),
    "no body": (post(), {"body": ""}),
    "a body of no length": (post(b"Content-Length: 0"), {"body": ""}),
    "a length with leading zeros": (post(b"Content-Length: 005", body=b"hello"), {"body": "hello"}),
    "spaces around a value": (post(b"A:  b \t "), {"headers": {"host": "x", "a": "b"}}),
    "an empty value": (post(b"A:", b"B: "), {"headers": {"host": "x", "a": "", "b": ""}}),
    "a repeated name": (post(b"A: b", b"a: c"), {"headers": {"host": "x", "a": "b, c"}}),
    "a high byte in a value": (post(b"A: \xe4"), {"headers": {"host": "x", "a": "ä"}}),
    "empty lines before": (b"\r\n\r\n" + sized(b"hello"), {"body": "hello"}),
    "an absolute target": (
        b"GET http://y:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
        {"path": "/a", "query": "b"},
    ),
    "an absolute target without path": (b"GET HTTP://y HTTP/1.1\r\nHost: x\r\n\r\n", {"path": "/"}),
    "an absolute target with only a query": (
        b"GET http://y?b HTTP/1.1\r\nHost: x\r\n\r\n",
        {"path": "/", "query": "b"},
    ),
    "an encoded target": (
        b"GET /a%20b%2Fc?d=%3F HTTP/1.1\r\nHost: x\r\n\r\n",
        {"path": "/a%20b%2Fc", "query": "d=%3F"},
    ),
    "two question marks": (
        b"GET /a?b?c HTTP/1.1\r\nHost: x\r\n\r\n",
        {"path": "/a", "query": "b?c"},
    ),
    "an asterisk for OPTIONS": (
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        {"path": "*", "method": "OPTIONS"},
    ),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", {"path": "/"}),
    "a host in brackets": (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", {"path": "/"}),
    "1.0 without host": (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", {"path": "/"}),
    "an upgrade": (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        {"path": "/"},
    ),
    "an upgrade with a body": (
        sized(b"hello", b"Upgrade: h2c", b"Connection: upgrade"),
        {"body": "hello"},
    ),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", {"body": "hello!"}),
    "no chunk": (CHUNKED + b"0\r\n\r\n", {"body": ""}),
    "chunks of sizes with zeros": (CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", {"body": "hello"}),
    "chunks of sizes in capitals": (
        CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n",
        {"body": "0123456789"},
    ),
    "chunk extensions": (CHUNKED + b'5;a;b=c;d="e;f"\r\nhello\r\n0;z\r\n\r\n', {"body": "hello"}),
    "trailers": (
        CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nHost: y\r\n\r\n",
        {"body": "hello", "headers": {"host": "x", "transfer-encoding": "chunked"}},
    ),
    "chunked in capitals": (CHUNKED.replace(b"chunked", b"CHUNKED") + b"0\r\n\r\n", {"body": ""}),
    "gzip": (sized(GZIPPED, b"Content-Encoding: gzip"), {"body": "hello"}),
    "gzip in capitals": (sized(GZIPPED, b"Content-Encoding: GZIP"), {"body": "hello"}),
    "gzip in two members": (sized(GZIPPED * 2, b"Content-Encoding: gzip"), {"body": "hellohello"}),
    "gzip in chunks": (
        CHUNKED[:-2]
        + b"Content-Encoding: gzip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED),
        {"body": "hello"},
    ),
    "no content encoding": (sized(b"hello", b"Content-Encoding: identity"), {"body": "hello"}),
    "an expectation that is met at once": (
        sized(b"hello", b"Expect: 100-continue"),
        {"body": "hello"},
    ),
    "an expectation nobody knows": (sized(b"hello", b"Expect: tea"), {"body": "hello"}),
    "a body that looks like a request": (
        sized(b"GET / HTTP/1.1\r\n\r\n"),
        {"body": "GET / HTTP/1.1\r\n\r\n"},
    ),
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=Limits(max_body=1000)) as served:
        yield served


@pytest.mark.parametrize("name", CASES)
def test_is_understood_and_the_next_one_too(served: Served, name: str) -> None:
    stream, seen = CASES[name]
    with served.connect() as client:
        for _ in range(2):
            client.send(stream)
            answer = client.answer()
            assert answer.status == 200
            assert answer.json | seen == answer.json


@pytest.mark.parametrize("name", CASES)
def test_is_understood_byte_by_byte(served: Served, name: str) -> None:
    stream, seen = CASES[name]
    with served.connect() as client:
        for byte in stream:
            client.send(bytes((byte,)))
        answer = client.answer().json
        assert answer | seen == answer


@pytest.mark.parametrize("name", CASES)
def test_is_understood_between_others(served: Served, name: str) -> None:
    stream, seen = CASES[name]
    with served.connect() as client:
        client.send(sized(b"before") + stream + sized(b"after"))
        assert client.answer().json["body"] == "before"
        answer = client.answer().json
        assert answer | seen == answer
        assert client.answer().json["body"] == "after"
