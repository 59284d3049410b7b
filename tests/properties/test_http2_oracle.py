"""Our HTTP/2 beside h2, hyperframe and hpack: what one writes, the other reads, and the reverse."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest
from hyperframe import frame as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from http2_wire import Wire
from tiltyard_engine.http2 import huffman
from tiltyard_engine.http2.faults import ConnectionFault
from tiltyard_engine.http2.frames import FrameReader
from tiltyard_engine.http2.hpack import STATIC, Decoder, literal
from wire import cut

MANY = 1 << 20
names = st.from_regex(r"x[a-z0-9_-]{0,12}", fullmatch=True).map(str.encode)
values = st.from_regex(r"([!-~]([ -~]{0,40}[!-~])?)?", fullmatch=True).map(str.encode)
fields = st.lists(st.tuples(names, values), max_size=8)
known = st.sampled_from([(name, value or b"v") for name, value in STATIC])
places = st.lists(st.integers(min_value=0), max_size=12)


@given(st.binary(max_size=200))
def test_huffman_gives_back_what_was_packed(text: bytes) -> None:
    packed = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH
    ).encode(text)
    assert huffman.decode(packed) == text


@given(st.binary(max_size=40))
def test_huffman_takes_what_another_takes(packed: bytes) -> None:
    try:
        wanted = bytes(hpack.huffman_table.decode_huffman(packed))
    except hpack.exceptions.HPACKDecodingError:
        wanted = None
    found = huffman.decode(packed)
    # The other lets a text end in more padding than may be.
    assert found == wanted or (found is None and packed.endswith(b"\xff"))


@given(
    st.lists(
        st.tuples(
            st.lists(st.one_of(known, st.tuples(names, values)), max_size=8),
            st.booleans(),
            st.sampled_from([None, 0, 64, 4096]),
        ),
        max_size=8,
    )
)
def test_header_blocks_say_the_same(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool, int]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(MANY)
    for wanted, packed, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(wanted, huffman=packed)) == wanted


@given(st.binary(max_size=60))
def test_damaged_blocks_are_refused_or_say_the_same(block: bytes) -> None:
    try:
        found = Decoder(MANY).decode(block)
    except ConnectionFault:
        return
    other = hpack.Decoder(max_header_list_size=MANY)
    assert [tuple(one) for one in other.decode(block, raw=True)] == found


@given(st.lists(st.tuples(names, st.binary(max_size=300))))
def test_our_blocks_are_read_by_others(wanted: list[tuple[bytes, bytes]]) -> None:
    block = b"".join(literal(*one) for one in wanted)
    read = hpack.Decoder(max_header_list_size=MANY).decode(block, raw=True)
    assert [tuple(one) for one in read] == wanted


@st.composite
def their_frames(draw: st.DrawFn) -> theirs.Frame:
    number = st.integers(1, 2**31 - 1)
    stream, body = draw(number), draw(st.binary(max_size=200))
    flags = draw(st.sets(st.sampled_from(["END_STREAM", "END_HEADERS"])))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        padded = draw(st.booleans())
        return theirs.DataFrame(
            stream,
            body,
            flags=(["PADDED"] if padded else []) + list(flags & {"END_STREAM"}),
            pad_length=draw(st.integers(0, 50)) if padded else 0,
        )
    if kind == 1:
        return theirs.HeadersFrame(stream, body, flags=flags)
    if kind == 2:
        return theirs.SettingsFrame(0, {draw(st.integers(1, 6)): draw(st.integers(0, 1))})
    if kind == 3:
        return theirs.PingFrame(0, body[:8])
    if kind == 4:
        return theirs.WindowUpdateFrame(stream, draw(number))
    return theirs.RstStreamFrame(stream, draw(st.integers(0, 13)))


@given(st.lists(their_frames(), max_size=12), places)
def test_frames_are_cut_as_they_were_written(frames: list[theirs.Frame], where: list[int]) -> None:
    written = [one.serialize() for one in frames]
    reader = FrameReader()
    found = [one for piece in cut(b"".join(written), where) for one in reader.cut(piece)]
    assert not reader.amid
    for data, (kind, flags, stream, content) in zip(written, found, strict=True):
        assert (kind, flags, content) == (data[3], data[4], data[9:])
        assert stream == int.from_bytes(data[5:9]) & 0x7FFFFFFF


PIECES = 4
Asked = tuple[list[tuple[bytes, bytes]], list[bytes], int | None]
requests = st.tuples(
    fields,
    st.lists(st.binary(max_size=600), max_size=PIECES),
    st.sampled_from([None, 0, 7]),  # padding
)


@dataclass
class Gotten:
    """What a client has of its answers."""

    heads: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=lambda: defaultdict(bytes))
    ended: set[int] = field(default_factory=set)

    def take(self, client: h2.connection.H2Connection, event: object) -> None:
        """Note what has come, and let more come."""
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.contents[event.stream_id] += event.data
            client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)


def asking(asked: Mapping[int, Asked], window: int) -> h2.connection.H2Connection:
    """Make a client that has sent its requests, their contents interleaved."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    for stream, (headers, _, _) in asked.items():
        start = [(":method", "POST"), (":scheme", "http"), (":path", f"/{stream}")]
        client.send_headers(stream, [*start, (":authority", "x"), *headers])
    for turn in range(PIECES):
        for stream, (_, pieces, padding) in asked.items():
            if turn < len(pieces):
                client.send_data(stream, pieces[turn], pad_length=padding)
    for stream in asked:
        client.end_stream(stream)
    return client


@settings(max_examples=50)  # each is a whole conversation
@given(
    st.lists(requests, min_size=1, max_size=6),
    st.sampled_from([1, 100, 65_535, 1 << 20]),
    places,
)
def test_a_client_gets_back_what_it_sent(sent: list[Asked], window: int, where: list[int]) -> None:
    asked = {2 * number + 1: one for number, one in enumerate(sent)}
    client, wire, gotten = asking(asked, window), Wire(), Gotten()
    wire.feed(*cut(client.data_to_send(), where))
    while data := wire.taken():
        for event in client.receive_data(data):
            gotten.take(client, event)
        wire.feed(client.data_to_send())
    assert gotten.ended == set(asked)
    for stream, (headers, pieces, _) in asked.items():
        assert gotten.contents[stream] == b"".join(pieces)
        joined: dict[bytes, bytes] = {}
        for name, value in headers:
            joined[name] = joined[name] + b", " + value if name in joined else value
        echoed = [(b"e-" + name, b"<%b>" % value) for name, value in joined.items()]
        assert gotten.heads[stream] == [(b":status", b"200"), (b"path", b"/%d" % stream), *echoed]


def test_the_static_table_is_that_of_others() -> None:
    assert hpack.table.HeaderTable.STATIC_TABLE == STATIC


@pytest.mark.parametrize("stream", [0, 2**31 - 1])
def test_the_reserved_bit_is_read_past(stream: int) -> None:
    data = bytearray(theirs.PingFrame(0, b"12345678").serialize())
    data[5:9] = (stream | 1 << 31).to_bytes(4)
    assert FrameReader().cut(bytes(data))[0][2] == stream
