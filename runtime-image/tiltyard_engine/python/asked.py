"""One call on its way: hands it to whichever worker is free, and waits for what comes back.

The kernel keeps the accounts: whoever takes the call holds the only other end of its pipe, so that
the end of that worker is the end of the pipe. There is nothing to lease and nothing to give back.
"""

import math
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tiltyard_engine.model import ModelError, ModelTimeoutError
from tiltyard_engine.python.segments import Segment, Segments
from tiltyard_engine.python.state import State
from tiltyard_engine.python.worker.frames import Packed, Piece
from tiltyard_engine.python.worker.serve import COUNT, DESCRIPTOR, FREE, MESSAGE, ROOM

INLINE_BYTES = 32 << 10
"""Arrays up to this size travel with the call itself; larger ones in memory that is lent."""

LAST_WORDS = 5.0
"""Seconds to wait for the keeper to say how a worker ended; mostly milliseconds."""


class Until(NamedTuple):
    """How long somebody waits."""

    moment: float
    """Of the monotonic clock."""

    seconds: float
    """How long that was to begin with."""

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            ModelTimeoutError: there are none.

        """
        left = self.moment - time.monotonic()
        if left <= 0:
            raise ModelTimeoutError(f"took longer than {self.seconds:g} s")
        return left


class Asked:
    """A call that was put into the queue of a model."""

    __slots__ = ("_deaths", "_lent", "_mine", "_until", "_way")

    def __init__(
        self, way: "Way", mine: int, lent: Segment | None, deaths: int, until: Until
    ) -> None:
        self._way = way
        self._mine = mine
        """Descriptor on which the answer comes."""

        self._lent = lent
        """What the worker may use until it has answered."""

        self._deaths = deaths
        """How many workers had ended before."""

        self._until = until

    def receive(self, data: bytearray, size: int) -> None:
        """Receive until there are so many bytes; whatever else has come is taken with them."""
        while len(data) < size:
            try:
                self._wait()
                more = os.read(self._mine, MESSAGE)
            except ConnectionError:
                more = b""
            if not more:
                raise ModelError(self._how_it_ended())
            data += more

    def rest(self, begun: bytearray, size: int) -> memoryview:
        """Receive the arrays, of which some bytes have come already, into memory of their own."""
        view, got = np.empty(size, np.uint8).data, len(begun)
        view[:got] = begun
        while got < size:
            try:
                self._wait()
                more = os.readv(self._mine, [view[got:]])
            except ConnectionError:
                more = 0
            if not more:
                raise ModelError(self._how_it_ended())
            got += more
        return view

    def send(self, pieces: Sequence[Piece]) -> None:
        """Send what was too long for the queue, once a worker reads it."""
        try:
            with socket.socket(fileno=os.dup(self._mine)) as stream:
                for piece in pieces:
                    self._send(stream, piece)
                stream.settimeout(None)
        except BaseException:
            self.close()
            raise

    def _send(self, stream: socket.socket, piece: Piece) -> None:
        stream.settimeout(self._until.left())
        try:
            stream.sendall(piece)
        except TimeoutError:
            self._until.left()
        except OSError:
            raise ModelError(self._how_it_ended()) from None

    def take_back(self, tail: bytearray) -> None:
        """Have again what was lent, if the worker says so behind its answer."""
        segment = self._lent
        if segment is None:
            return
        self.receive(tail, 1)
        self._lent = None
        if tail[0] == FREE:
            self._way.segments.give_back(segment)
        else:  # not once more: a function that keeps what it is given will keep the next, too
            segment.close()

    def close(self) -> None:
        """Leave; what is still answered reaches nobody."""
        os.close(self._mine)
        if self._lent is not None:
            self._way.segments.lost(self._lent)
            self._lent = None

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._mine, select.POLLIN)
        while not poll.poll(math.ceil(self._until.left() * 1000)):
            pass

    def _how_it_ended(self) -> str:
        words = self._way.state.words_after(self._deaths, LAST_WORDS)
        return f"its worker {words or 'ended during the call; the log may say why'}"


def fits_queue(arrays: Packed) -> bool:
    """Whether arrays may travel with the call itself."""
    return arrays[2] <= INLINE_BYTES


class Way:
    """From a process of the engine to the workers of a model."""

    def __init__(self, queue: socket.socket, state: State, workers: int) -> None:
        self.queue = queue
        self.state = state
        self.segments = Segments(workers)

    def ask(self, arrays: Packed, deaths: int, until: Until) -> Asked | None:
        """Put a call into the queue, with what `packed` gave; None: the queue is full."""
        lengths, pieces, size = arrays
        message: list[Piece] = [COUNT.pack(len(lengths)), lengths]
        if fits_queue(arrays):
            return self._ask(message + pieces, os.pipe(), None, deaths, until)
        segment = self.segments.take(size)
        if segment is not None:
            return self._lend(message, pieces, segment, deaths, until)
        asked = self._ask(message, _socket_pair(), None, deaths, until)
        if asked is not None:
            asked.send(pieces)
        return asked

    def _lend(
        self,
        message: list[Piece],
        pieces: list[Piece],
        segment: Segment,
        deaths: int,
        until: Until,
    ) -> Asked | None:
        try:
            segment.write(pieces)
            ends = os.pipe()
        except BaseException:
            self.segments.lost(segment)
            raise
        return self._ask(message, ends, segment, deaths, until)

    def _ask(
        self,
        message: list[Piece],
        ends: tuple[int, int],
        segment: Segment | None,
        deaths: int,
        until: Until,
    ) -> Asked | None:
        mine, theirs = ends
        rights = DESCRIPTOR.pack(theirs)
        if segment is not None:
            rights += DESCRIPTOR.pack(segment.descriptor)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        try:
            self.queue.sendmsg(message, ancillary, socket.MSG_DONTWAIT)
        except BaseException as error:
            os.close(mine)
            if segment is not None:  # nobody has seen it
                self.segments.give_back(segment)
            if isinstance(error, BlockingIOError):
                return None
            raise
        finally:
            os.close(theirs)
        return Asked(self, mine, segment, deaths, until)

    def wait_for_room(self, until: Until) -> None:
        """Wait until workers have taken something out of a full queue."""
        poll = select.poll()
        poll.register(self.queue, select.POLLOUT)
        poll.poll(math.ceil(until.left() * 1000))


def _socket_pair() -> tuple[int, int]:
    """Two ends on which much can be sent either way."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return pair[0].detach(), pair[1].detach()
