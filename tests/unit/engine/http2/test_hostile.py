"""Clients that mean harm: each is told to calm down, and costs neither memory nor work."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from http2_wire import HELLO, REQUEST, Silent, Wire, asking
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http2.blocks import Heads
from tiltyard_engine.http2.faults import Code
from tiltyard_engine.http2.hpack import literal
from tiltyard_engine.http2.service import MAX_STREAMS

FLAT = 4 << 20
MANY = 5_000


def ended_with(wire: Wire) -> tuple[Code, str]:
    """How the server ended the connection, and what it said."""
    assert wire.ended
    last = wire.frames()[-1]
    assert isinstance(last, GoAwayFrame)
    return Code(last.error_code), last.additional_data.decode()


def resets(wire: Wire) -> list[int]:
    return [one.error_code for one in wire.frames() if isinstance(one, RstStreamFrame)]


def again(make: Callable[[int], Frame | bytes], before: bytes = b"") -> list[bytes]:
    """Frames of one kind without end, in pieces as a socket gives them."""
    made = [make(number) for number in range(MANY)]
    pieces = [one if isinstance(one, bytes) else bytes(one.serialize()) for one in made]
    return [before, *(b"".join(pieces[at : at + 500]) for at in range(0, MANY, 500))]


def reset_at_once(number: int) -> bytes:
    stream = 2 * number + 1
    return asking(stream, "END_STREAM") + bytes(RstStreamFrame(stream, 8).serialize())


def wrong_at_once(number: int) -> bytes:
    return asking(2 * number + 1, "END_STREAM", block=literal(b"UPPER", b"x"))


def unfinished(size: int) -> bytes:
    return bytes(HeadersFrame(1, b"\0" * size).serialize())


FLOODS: dict[str, list[bytes]] = {
    "pings": again(lambda _: PingFrame(0, b"12345678")),
    "settings": again(lambda n: SettingsFrame(0, {4: n})),
    "priorities": again(lambda n: PriorityFrame(2 * n + 1)),
    "windows": again(lambda _: WindowUpdateFrame(0, 1)),
    "frames that nobody knows": again(lambda _: b"\0\0\1\xfa\0\0\0\0\0x"),
    "empty pieces": again(lambda _: DataFrame(1), asking(1)),
    "empty header pieces": again(lambda _: ContinuationFrame(1), unfinished(1)),
    "header pieces": again(lambda _: ContinuationFrame(1, b"\0" * 1000), unfinished(1)),
    "requests that are reset": again(reset_at_once),
    "requests that cannot be": again(wrong_at_once),
    "padding": again(lambda _: DataFrame(1, pad_length=200, flags=["PADDED"]), asking(1)),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_end(flood: str) -> None:
    wire = Wire(Silent)
    wire.feed(HELLO)
    tracemalloc.start()
    wire.feed(*FLOODS[flood])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ended_with(wire)[0] is Code.ENHANCE_YOUR_CALM
    assert peak < FLAT
    assert wire.total < FLAT
    assert len(wire.begun) < 1000


def test_who_asks_may_ping_as_clients_do() -> None:
    wire = Wire()
    wire.feed(HELLO)
    few = PingFrame(0, b"12345678").serialize() + WindowUpdateFrame(0, 1).serialize() * 3
    for number in range(3000):
        wire.feed(asking(2 * number + 1, "END_STREAM") + few)
        wire.taken()
    assert not wire.ended
    assert len(wire.begun) == 3000


def test_a_block_that_unpacks_to_much_is_cut_off() -> None:
    wire = Wire()
    large = b"\x40" + literal(b"large", b"v" * 3900)[1:]
    wire.feed(HELLO, asking(1, "END_STREAM", block=REQUEST + large))
    tracemalloc.start()
    wire.feed(asking(3, "END_STREAM", block=REQUEST + b"\xbe" * 16_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    first, second = wire.begun
    assert not first.head.too_large
    assert second.head.too_large
    assert peak < FLAT
    assert not wire.ended


@pytest.mark.parametrize("fields", [literal(b"long", b"v" * 20_000), b"\xbe" * 7])
def test_heads_that_differ_leave_nothing_behind(fields: bytes) -> None:
    heads = Heads(Limits())
    heads.read(1, REQUEST + b"\x40" + literal(b"large", b"v" * 3900)[1:])
    tracemalloc.start()
    for number in range(100):
        heads.read(2 * number + 3, REQUEST + literal(b"number", b"%d" % number) + fields)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000  # sixteen of them would take three or six times as much


def test_fields_without_end_are_cut_off() -> None:
    wire = Wire()
    many = b"".join(literal(b"x%d" % n, b"") for n in range(200))
    wire.feed(HELLO, asking(1, "END_STREAM", block=REQUEST + many))
    assert wire.begun[0].head.too_large


def test_uploads_that_are_never_finished_hold_only_so_much() -> None:
    wire = Wire(Silent, Limits(max_body=100_000))
    wire.feed(HELLO)
    piece = bytes(10_000)
    for number in range(60):
        stream = 2 * number + 1
        wire.feed(asking(stream) + DataFrame(stream, piece).serialize())
    assert resets(wire) == [Code.ENHANCE_YOUR_CALM] * 20
    assert sum(sink.gone for sink in wire.begun) == 20
    wire.feed(DataFrame(1, b"x", flags=["END_STREAM"]).serialize())
    wire.feed(asking(121) + DataFrame(121, piece).serialize())
    assert not wire.ended
    assert resets(wire) == []


def test_more_requests_at_once_than_may_be_are_refused_unbegun() -> None:
    wire = Wire(Silent)
    wire.feed(HELLO, *(asking(2 * n + 1, "END_STREAM") for n in range(MAX_STREAMS + 3)))
    assert resets(wire) == [Code.REFUSED_STREAM] * 3
    assert len(wire.begun) == MAX_STREAMS


LIES: dict[str, tuple[bytes, Code]] = {
    "a frame longer than all": (b"\xff\xff\xff\0\0\0\0\0\1", Code.FRAME_SIZE_ERROR),
    "more than the window": (
        asking(1) + DataFrame(1, bytes(16_384)).serialize() * 400,
        Code.FLOW_CONTROL_ERROR,
    ),
    "an index beyond the table": (asking(1, block=b"\xff\xff\xff\x01"), Code.COMPRESSION_ERROR),
    "a number without end": (asking(1, block=b"\xff" * 40), Code.COMPRESSION_ERROR),
    "a text longer than its block": (
        asking(1, block=b"\0\x7f\xff\xff\x7f"),
        Code.COMPRESSION_ERROR,
    ),
    "more padding than frame": (b"\0\0\1\0\x08\0\0\0\1\xff", Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_end_the_connection(lie: str) -> None:
    sent, code = LIES[lie]
    wire = Wire(Silent)
    wire.feed(HELLO, sent)
    found = {one.error_code for one in wire.frames() if hasattr(one, "error_code")}
    assert code in found


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/1"])
def test_other_protocols_are_told_which_this_is(hello: bytes) -> None:
    wire = Wire()
    wire.feed(*(hello[at : at + 1] for at in range(len(hello))))
    code, said = ended_with(wire)
    assert code is Code.PROTOCOL_ERROR
    assert "gRPC" in said


def test_connections_beyond_the_limit_are_told() -> None:
    wire = Wire(limits=Limits(max_connections=0))
    code, said = ended_with(wire)
    assert code is Code.ENHANCE_YOUR_CALM
    assert "try again later" in said


def test_a_handler_that_fails_ends_its_stream_only(capsys: Any) -> None:
    def failing(head: Any, stream: Any) -> Any:
        raise RuntimeError(head, stream)

    wire = Wire(failing)
    wire.feed(HELLO, asking(1, "END_STREAM"))
    assert resets(wire) == [Code.INTERNAL_ERROR]
    assert not wire.ended
    assert "a handler failed" in "".join(capsys.readouterr())
