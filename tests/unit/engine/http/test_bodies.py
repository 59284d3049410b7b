"""Bodies at their limits, packed bodies, and clients that ask before they send."""

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest

from loopback import Served, serving
from tiltyard_engine.http.limits import Limits

LIMIT = 100_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=Limits(max_body=LIMIT)) as served:
        yield served


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: x", *lines, b"", body))


def sized(body: bytes, *lines: bytes) -> bytes:
    return post(b"Content-Length: %d" % len(body), *lines, body=body)


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return post(b"Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n")


@pytest.mark.parametrize("size", [1, 7, 1000, LIMIT])
def test_a_chunked_body_of_just_the_limit_is_taken(served: Served, size: int) -> None:
    body = bytes(i % 251 for i in range(LIMIT))
    with served.connect() as client:
        client.send(chunked(body, size) + sized(b"next"))
        assert client.answer().json["body"].encode("latin-1") == body
        assert client.answer().json["body"] == "next"


def test_a_sized_body_of_just_the_limit_is_taken(served: Served) -> None:
    with served.connect() as client:
        client.send(sized(b"a" * LIMIT) + sized(b"next"))
        assert client.answer().json["body"] == "a" * LIMIT
        assert client.answer().json["body"] == "next"


@pytest.mark.parametrize("stream", [sized, lambda body: chunked(body, 1000)])
def test_a_body_one_byte_over_the_limit_is_refused(
    served: Served, stream: Callable[[bytes], bytes]
) -> None:
    with served.connect() as client:
        client.send(stream(b"a" * (LIMIT + 1)))
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (413, "BodyTooLarge")
        assert client.at_end()


def test_a_body_over_the_limit_is_refused_before_it_is_sent(served: Served) -> None:
    with served.connect() as client:
        client.send(post(b"Content-Length: %d" % (LIMIT + 1)))
        assert client.answer().status == 413
        assert client.at_end()


def test_who_sends_it_all_before_reading_still_gets_the_answer(served: Served) -> None:
    with served.connect() as client:
        client.sock.sendall(sized(b"a" * (3 * LIMIT)))
        assert client.answer().status == 413


def test_who_asks_before_sending_is_told_to_go_on(served: Served) -> None:
    with served.connect() as client:
        client.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
        assert client.opening() == (100, {})
        client.send(b"hello")
        assert client.answer().json["body"] == "hello"


def test_who_asks_before_sending_chunks_is_told_to_go_on(served: Served) -> None:
    with served.connect() as client:
        client.send(post(b"Transfer-Encoding: chunked", b"Expect: 100-Continue"))
        assert client.opening() == (100, {})
        client.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert client.answer().json["body"] == "hello"


def test_who_asks_before_sending_too_much_is_refused_instead(served: Served) -> None:
    with served.connect() as client:
        client.send(post(b"Content-Length: %d" % (LIMIT + 1), b"Expect: 100-continue"))
        assert client.opening()[0] == 413


def test_who_asks_without_a_body_is_answered_at_once(served: Served) -> None:
    with served.connect() as client:
        client.send(post(b"Expect: 100-continue"))
        assert client.opening()[0] == 200


def test_a_client_of_1_0_is_never_told_to_go_on(served: Served) -> None:
    with served.connect() as client:
        client.send(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        client.send(b"hello")
        assert client.opening()[0] == 200


def test_what_unpacks_to_just_the_limit_is_taken(served: Served) -> None:
    with served.connect() as client:
        client.send(sized(gzip.compress(b"a" * LIMIT), b"Content-Encoding: gzip"))
        assert client.answer().json["body"] == "a" * LIMIT


def test_what_was_packed_in_blocks_is_one_body(served: Served) -> None:
    blocks = [b"a" * (LIMIT // 8)] * 8
    with served.connect() as client:
        packed = b"".join(map(gzip.compress, blocks))
        client.send(sized(packed, b"Content-Encoding: gzip"))
        assert client.answer().json["body"] == b"".join(blocks).decode()


PACKED = {
    "one byte too much": (413, "BodyTooLarge", gzip.compress(b"a" * (LIMIT + 1))),
    "a bomb": (413, "BodyTooLarge", gzip.compress(b"a" * 50_000_000)),
    "too much in members": (413, "BodyTooLarge", gzip.compress(b"a" * (LIMIT // 2 + 1)) * 2),
    "not gzip": (400, "MalformedBody", b"hello"),
    "zlib, not gzip": (400, "MalformedBody", zlib.compress(b"hello")),
    "cut off": (400, "MalformedBody", gzip.compress(b"hello")[:-1]),
    "of a wrong checksum": (400, "MalformedBody", gzip.compress(b"hello")[:-8] + b"12345678"),
    "followed by rubbish": (400, "MalformedBody", gzip.compress(b"hello") + b"hello"),
    "nothing, many times": (400, "MalformedBody", gzip.compress(b"") * (LIMIT // 20)),
}


@pytest.mark.parametrize("name", PACKED)
def test_gzip_is_refused_that_is_(served: Served, name: str) -> None:
    status, reason, body = PACKED[name]
    with served.connect() as client:
        client.send(sized(body, b"Content-Encoding: gzip") + sized(b"next"))
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (status, reason)
        assert client.answer().json["body"] == "next", "its body was read: the connection is fine"


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"zstd", b"gzip, gzip", b"gzip, br"])
def test_other_encodings_are_refused(served: Served, encoding: bytes) -> None:
    with served.connect() as client:
        client.send(sized(b"hello", b"Content-Encoding: " + encoding) + sized(b"next"))
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (415, "UnsupportedMediaType")
        assert encoding.decode() in answer.json["error"]
        assert client.answer().json["body"] == "next"
