"""The process that runs expressions: `python -m tiltyard_engine.validations.evaluator`.

It is asked over one socket: first what to run, then rows, as often as there are any. It ends when
the socket does.
"""

import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence

import msgspec

from tiltyard_core.cel.library import Rule, judge
from tiltyard_engine.parents import end_with_parent

MEMORY = 256 << 20
"""Bytes of data that it may have: a few large rows, and what expressions make of them."""

LENGTH = struct.Struct("<I")


class Rows(msgspec.Struct):
    """Rows to be judged: the values of each field, by its root."""

    count: int
    fields: dict[str, dict[str, list[object]]]
    seconds: float
    """After which rows are left."""


def send(channel: socket.socket, message: object) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    channel.sendall(LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> bytes:
    """Receive one message, still encoded.

    Raises:
        EOFError: the other side has gone.

    """
    (length,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    return _exactly(channel, length)


def _exactly(channel: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = channel.recv(min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def judged(rules: Sequence[Rule], rows: Rows) -> list[bytes]:
    """What each rule says of each row, as far as the time goes."""
    end = time.monotonic() + rows.seconds
    verdicts = []
    for row in range(rows.count):
        fields = {
            root: {name: values[row] for name, values in columns.items()}
            for root, columns in rows.fields.items()
        }
        verdicts.append(judge(rules, fields))
        if time.monotonic() > end:
            break
    return [bytes(column) for column in zip(*verdicts, strict=True)]


def main() -> None:
    """Judge what comes until nothing does."""
    end_with_parent(by=signal.SIGKILL)
    channel = socket.socket(fileno=int(sys.argv[1]))
    rules = [Rule(text) for text in msgspec.msgpack.decode(receive(channel), type=list[str])]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decoder = msgspec.msgpack.Decoder(Rows)
    send(channel, [])
    while True:
        try:
            asked = receive(channel)
        except (EOFError, ConnectionError):
            return
        send(channel, judged(rules, decoder.decode(asked)))


if __name__ == "__main__":
    main()
