"""Clients that are slow, silent or gone, and connections that end."""

from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame

from http2_wire import HELLO, Echo, Silent, Wire, asking
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http2.connection import PING_PATIENCE
from tiltyard_engine.http2.faults import Code

LIMITS = Limits(header_timeout=4, body_timeout=8, keep_alive=16, write_timeout=8, linger=4)
SWEEPS = 4.0
"""Seconds by which a deadline may be late, and a little more."""


def going_away(wire: Wire) -> list[int]:
    return [one.error_code for one in wire.frames() if isinstance(one, GoAwayFrame)]


def test_who_says_nothing_is_sent_away() -> None:
    for said in (b"", HELLO[:10], HELLO[:30], HELLO + b"\0", HELLO + asking(1)[:-3]):
        wire = Wire(limits=LIMITS)
        wire.feed(said)
        wire.wait(LIMITS.header_timeout - 1)
        assert not wire.ended
        wire.wait(SWEEPS)
        assert going_away(wire) == [Code.ENHANCE_YOUR_CALM]
        wire.wait(LIMITS.linger + SWEEPS)
        assert wire.aborted


def test_a_request_has_to_come_whole_in_time() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(HELLO, asking(1))
    for _ in range(7):  # dripping does not help
        wire.wait(1)
        wire.feed(DataFrame(1, b"x").serialize())
    assert not wire.begun[0].expired
    wire.wait(SWEEPS)
    assert wire.begun[0].expired
    assert not wire.ended


def test_an_answer_may_take_as_long_as_it_likes() -> None:
    wire = Wire(Silent, LIMITS)
    wire.feed(HELLO, asking(1, "END_STREAM"))
    for _ in range(30):
        wire.wait(10)
        wire.feed(PingFrame(0, b"12345678").serialize())
    assert not wire.begun[0].expired
    assert not wire.ended


def test_a_silent_client_is_asked_whether_it_is_there() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(HELLO)
    for _ in range(3):
        wire.taken()
        wire.wait(LIMITS.keep_alive + SWEEPS)
        (ping,) = wire.frames()
        assert isinstance(ping, PingFrame)
        wire.feed(PingFrame(0, ping.opaque_data, flags=["ACK"]).serialize())
    wire.wait(LIMITS.keep_alive + PING_PATIENCE + 2 * SWEEPS)
    assert wire.aborted


def test_who_does_not_take_its_answer_loses_it() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(HELLO, SettingsFrame(0, {4: 1}).serialize())
    wire.feed(asking(1), DataFrame(1, b"four", flags=["END_STREAM"]).serialize())
    wire.wait(LIMITS.write_timeout - 1)
    assert not wire.begun[0].expired
    wire.wait(SWEEPS)
    assert wire.begun[0].expired
    assert [f.error_code for f in wire.frames() if isinstance(f, RstStreamFrame)] == [Code.CANCEL]


def test_who_does_not_read_is_dropped() -> None:
    wire = Wire(Silent, LIMITS)
    wire.feed(HELLO, asking(1, "END_STREAM"))
    wire.connection.pause_writing()
    wire.wait(LIMITS.write_timeout - 1)
    assert not wire.aborted
    wire.wait(SWEEPS)
    assert wire.aborted
    wire.connection.connection_lost(None)
    assert wire.begun[0].gone


def test_the_end_loses_nothing_that_was_on_its_way() -> None:
    later: list[Silent] = []

    def application(head: object, stream: object) -> Echo:
        del head
        later.append(Silent(None, stream))
        return later[-1]

    wire = Wire(application, LIMITS)
    wire.feed(HELLO, asking(1, "END_STREAM"))
    wire.taken()
    wire.service.drain()
    said, ping = wire.frames()
    assert (said.last_stream_id, said.error_code) == (2**31 - 1, Code.NO_ERROR)
    wire.feed(asking(3, "END_STREAM"))  # was sent before that was heard
    wire.feed(PingFrame(0, ping.opaque_data, flags=["ACK"]).serialize())
    (final,) = wire.frames()
    assert final.last_stream_id == 3
    wire.feed(asking(5, "END_STREAM"))
    (refused,) = wire.frames()
    assert refused.error_code == Code.REFUSED_STREAM
    for sink in later:
        assert not wire.ended
        sink.stream.answer(b"\x88", b"late", b"\x88")
    assert wire.ended
    assert [one.stream_id for one in wire.frames() if isinstance(one, DataFrame)] == [1, 3]


def test_a_client_that_does_not_hear_that_we_leave_is_left() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(HELLO)
    wire.service.drain()
    wire.wait(SWEEPS)
    assert wire.ended
