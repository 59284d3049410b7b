"""What is remembered of heads."""

import pytest

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.head import HeadReader
from tiltyard_engine.http.limits import Limits

HEAD = b"GET /%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n"


def test_the_same_bytes_are_judged_once() -> None:
    heads = HeadReader(Limits())
    assert heads.read(HEAD % (1, 1)) is heads.read(HEAD % (1, 1))


def test_other_bytes_are_judged_anew() -> None:
    heads = HeadReader(Limits())
    first, second = heads.read(HEAD % (1, 1)), heads.read(HEAD % (1, 2))
    assert (first.path, first.headers[b"x-request-id"]) == ("/1", b"1")
    assert (second.path, second.headers[b"x-request-id"]) == ("/1", b"2")


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    heads = HeadReader(Limits())
    for number in range(2000):
        heads.read(HEAD % (number, number))
        assert len(heads.known) <= 128
    known = len(heads.known)
    heads.read(b"GET / HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"a" * 3000))
    assert len(heads.known) == known


def test_a_refusal_is_not_remembered_as_anything_else() -> None:
    heads = HeadReader(Limits())
    for _ in range(2):
        assert heads.try_read(b"GET / HTTP/1.1\r\n\r\n") is None
        with pytest.raises(Refusal, match="no Host header"):
            heads.read(b"GET / HTTP/1.1\r\n\r\n")
    assert not heads.known
