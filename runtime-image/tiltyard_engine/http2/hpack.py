"""Header compression (RFC 7541): decoding with its table, encoding without one."""

from typing import Final

from tiltyard_engine.http2 import huffman
from tiltyard_engine.http2.faults import Code, ConnectionFault

Field = tuple[bytes, bytes]

TABLE_SIZE: Final = 4096
"""Bytes of the table that a client may keep with us, for lack of another setting."""

OVERHEAD: Final = 32
"""What a field counts beyond its bytes, in the table and in lists (4.1)."""

_LONGEST_NUMBER: Final = 5  # bytes after the first; more could only be zeros
_METHODS: Final = ((b":method", b"GET"), (b":method", b"POST"))
_STATUSES: Final = tuple((b":status", b"%d" % n) for n in (200, 204, 206, 304, 400, 404, 500))
_NAMES: Final = (
    b"accept-language accept-ranges accept access-control-allow-origin age allow authorization"
    b" cache-control content-disposition content-encoding content-language content-length"
    b" content-location content-range content-type cookie date etag expect expires from host"
    b" if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link"
    b" location max-forwards proxy-authenticate proxy-authorization range referer refresh"
    b" retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary"
    b" via www-authenticate"
)
STATIC: Final[tuple[Field, ...]] = (
    (b":authority", b""),
    *_METHODS,
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *_STATUSES,
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *((name, b"") for name in _NAMES.split()),
)
"""The fields that both sides know (appendix A); the first has the index 1."""

STATUS_200: Final = bytes([0x80 | 1 + STATIC.index((b":status", b"200"))])


class Decoder:
    """Decodes the header blocks of one connection, in their order.

    Attributes:
        changes: how often the table has changed: while it has not, equal blocks are equal fields.
        too_large: whether the last block held more than is wanted; its fields are cut off then.

    """

    __slots__ = ("_most", "_size", "_table", "_table_limit", "changes", "too_large")

    def __init__(self, most: int) -> None:
        self._most = most
        self._table: list[Field] = []  # the newest first
        self._size = 0
        self._table_limit = TABLE_SIZE
        self.changes = 0
        self.too_large = False

    def decode(self, block: bytes) -> list[Field]:
        """Give the fields of a block, at most as many bytes as are wanted.

        Raises:
            ConnectionFault: it is damaged, and so is all that would come after it.

        """
        fields: list[Field] = []
        room = self._most
        at, end = 0, len(block)
        while at < end:
            first = block[at]
            if first & 0x80:
                if (index := first & 0x7F) == 0x7F:
                    index, at = _number(block, at, 0x7F)
                else:
                    at += 1
                field = self._entry(index)
            elif first & 0xE0 == 0x20:
                at = self._resize(block, at, first=not fields and room == self._most)
                continue
            else:
                field, at = self._literal(block, at, first)
            room -= len(field[0]) + len(field[1]) + OVERHEAD
            if room >= 0:
                fields.append(field)
        self.too_large = room < 0
        return fields

    def _entry(self, index: int) -> Field:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        index -= len(STATIC) + 1
        if not 0 <= index < len(self._table):
            raise _damaged("an index leads beyond the table")
        return self._table[index]

    def _literal(self, block: bytes, at: int, first: int) -> tuple[Field, int]:
        kept = first & 0x40
        index, at = _number(block, at, 0x3F if kept else 0x0F)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _text(block, at)
        value, at = _text(block, at)
        if kept:
            self._keep(name, value)
        return (name, value), at

    def _keep(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        self._size += len(name) + len(value) + OVERHEAD
        self._table.insert(0, (name, value))
        self._shrink()

    def _resize(self, block: bytes, at: int, *, first: bool) -> int:
        size, at = _number(block, at, 0x1F)
        if not first or size > TABLE_SIZE:
            raise _damaged("the table's size is changed amid a block, or beyond what we keep")
        self.changes += 1
        self._table_limit = size
        self._shrink()
        return at

    def _shrink(self) -> None:
        while self._size > self._table_limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + OVERHEAD


def literal(name: bytes, value: bytes) -> bytes:
    """Write a field that nobody shall remember."""
    return b"\0" + _written_text(name) + _written_text(value)


def _written_text(text: bytes) -> bytes:
    length = len(text)
    if length < 0x7F:
        return bytes((length,)) + text
    written = bytearray([0x7F])
    length -= 0x7F
    while length >= 0x80:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written) + text


def _number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read a number that begins in the low bits of a byte; say where it ends (5.1)."""
    if at >= len(block):
        raise _damaged("it ends amid a field")
    found = block[at] & mask
    at += 1
    if found < mask:
        return found, at
    for place, byte in enumerate(block[at : at + _LONGEST_NUMBER]):
        found += (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return found, at + place + 1
    raise _damaged("a number has no end")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    packed = at < len(block) and block[at] & 0x80
    length, at = _number(block, at, 0x7F)
    stop = at + length
    if stop > len(block):
        raise _damaged("it ends amid a text")
    text = block[at:stop]
    if packed:
        unpacked = huffman.decode(text)
        if unpacked is None:
            raise _damaged("a text is not in the Huffman code")
        text = unpacked
    return text, stop


def _damaged(what: str) -> ConnectionFault:
    return ConnectionFault(Code.COMPRESSION_ERROR, f"the header block is damaged: {what}")
