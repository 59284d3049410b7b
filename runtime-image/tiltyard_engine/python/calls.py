"""A Python model as the steps see it: sends each call to whichever worker is free.

Every call makes a pipe and puts its end for the answer, with the arrays, into a queue that all
processes of the engine and all workers of the model share. The kernel hands it to one worker; what
the worker answers, and that it died, comes back on the other end. Where arrays are too long for the
queue, a pair of sockets stands in for the pipe: they follow on it.
"""

import math
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiltyard_api.plan import PlanModel, PlanTensor
from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_api.v1alpha1.models import Batch
from tiltyard_engine.columns import Array
from tiltyard_engine.model import DEAR, ModelDownError, ModelError, ModelTimeoutError
from tiltyard_engine.python.state import Health, State
from tiltyard_engine.python.worker.frames import (
    FrameError,
    Piece,
    packed,
    read_lengths,
    unpacked,
)
from tiltyard_engine.python.worker.serve import (
    ANSWER,
    COUNT,
    MESSAGE,
    MISFIT,
    ROOM,
    WELL,
    WORDS,
)

INLINE_BYTES = 32 << 10
"""Arrays up to this size travel with the call itself; larger ones follow on a socket."""

RIGHTS = struct.Struct("i")
"""A descriptor that is handed over."""

OUTPUT_BYTES = 64 << 20
"""Most bytes of one answer: a worker must not fill the engine's memory."""

HEADER_BYTES = 32 << 10
"""Most bytes of an answer's lengths."""

LAST_WORDS = 5.0
"""Seconds to wait for the keeper to say how a worker ended; mostly milliseconds."""


class RaisedError(ModelError):
    """The function raised an exception."""


class MisfitError(ModelError):
    """The function returned something other than its entry says."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a worker is started from."""

    path: Path
    """The model: a folder, or a single file."""

    interpreter: Path


@dataclass(slots=True)
class _Asked:
    """A call on its way."""

    answer: int
    """Descriptor on which the answer comes."""

    rows: int
    deaths: int
    """How many workers had ended before."""

    def read(self, size: int, seconds: float) -> bytes | None:
        """Read what has come; None: nothing came in time. Empty: its worker is gone."""
        try:
            return os.read(self.answer, size) if self._ready(seconds) else None
        except ConnectionError:
            return b""

    def read_into(self, view: memoryview, seconds: float) -> int | None:
        """Read like `read`, in place."""
        try:
            return os.readv(self.answer, [view]) if self._ready(seconds) else None
        except ConnectionError:
            return 0

    def _ready(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.answer, select.POLLIN)
        return bool(poll.poll(math.ceil(seconds * 1000)))

    def close(self) -> None:
        """Leave; what is still answered reaches nobody."""
        os.close(self.answer)


class PythonModel:
    """A model whose calls run in workers; the workers themselves are the keeper's."""

    cost = DEAR
    batchable = False
    """A function may look at other rows, and may not be the same twice: each request is alone."""

    waits = True

    def __init__(self, model: PlanModel, artifact: Artifact) -> None:
        self.model = model
        self.artifact = artifact
        self.state = State()
        self.nice = 0
        """Of its workers: how far they step back for others."""

        self.queue, self.workers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._types = [tensor.type.value for tensor in model.inputs]
        self._output_types = [tensor.type.value for tensor in model.outputs]

    @property
    def workers(self) -> int:
        """How many processes it has."""
        return self.model.workers or 1

    def run(self, inputs: Sequence[Array], *, timeout: float | None = None) -> list[Array]:
        """Run one call.

        Raises:
            ModelDownError: its workers keep dying; none was asked.
            ModelTimeoutError: no answer in time.
            ModelError: the function failed, or its worker ended.

        """
        deadline = time.monotonic() + (timeout or self.model.timeout)
        asked = self._ask(inputs, deadline)
        try:
            return self._answer(asked, deadline)
        finally:
            asked.close()

    def run_each(
        self, calls: Iterable[Sequence[Array]], *, timeout: float | None = None
    ) -> list[list[Array]]:
        """Run several calls, on as many workers as there are at once."""
        deadline = time.monotonic() + (timeout or self.model.timeout)
        waiting, results = deque[_Asked](), list[list[Array]]()
        try:
            for inputs in calls:
                if len(waiting) == self.workers:
                    results.append(self._next(waiting, deadline))
                waiting.append(self._ask(inputs, deadline))
            while waiting:
                results.append(self._next(waiting, deadline))
        finally:
            for asked in waiting:
                asked.close()
        return results

    def _next(self, waiting: deque[_Asked], deadline: float) -> list[Array]:
        asked = waiting.popleft()
        try:
            return self._answer(asked, deadline)
        finally:
            asked.close()

    def wait_loaded(self, patience: float) -> str | None:
        """Wait until a worker can answer; returns why the first one ended where it did so."""
        deadline = time.monotonic() + patience
        while self.state.health is Health.STARTING and not self.state.deaths:
            if time.monotonic() > deadline:
                return f"was not loaded within {patience:g} s"
            time.sleep(0.005)
        return None if self.state.health is Health.UP else self.state.words

    def learn(self) -> None:
        """Nothing to learn: every call waits for another process."""

    def why_down(self) -> str | None:
        """Why its workers keep dying; None while they do not."""
        if not self.state.down:
            return None
        return f"keeps failing and is tried again in a while; its last worker {self.state.words}"

    def after_fork(self) -> None:
        """Leave the queue's other end to those who read it."""
        self.workers_end.close()

    def close(self) -> None:
        """Leave the queue; workers end when everybody has."""
        self.queue.close()
        self.workers_end.close()

    def _ask(self, inputs: Sequence[Array], deadline: float) -> _Asked:
        """Put a call into the queue."""
        down = self.why_down()
        if down:
            raise ModelDownError(down)
        lengths, pieces, size = packed(inputs, self._types)
        inline = size <= INLINE_BYTES
        rows = inputs[0].shape[0] if inputs[0].shape else 1
        mine, theirs = os.pipe() if inline else _socket_pair()
        asked = _Asked(mine, rows, self.state.deaths)
        try:
            try:
                message = [COUNT.pack(len(lengths)), lengths, *(pieces if inline else ())]
                self._enqueue(message, theirs, deadline)
            finally:
                os.close(theirs)
            if not inline:
                self._send(asked, pieces, deadline)
        except BaseException:
            asked.close()
            raise
        return asked

    def _enqueue(self, message: Sequence[Piece], caller: int, deadline: float) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, RIGHTS.pack(caller))]
        while True:
            try:
                self.queue.sendmsg(message, rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.queue, select.POLLOUT)
                poll.poll(math.ceil(self._left(deadline) * 1000))
            else:
                return

    def _send(self, asked: _Asked, pieces: Iterable[Piece], deadline: float) -> None:
        """Send what was too long for the queue, once a worker reads it."""
        with socket.socket(fileno=os.dup(asked.answer)) as stream:
            for piece in pieces:
                stream.settimeout(self._left(deadline))
                try:
                    stream.sendall(piece)
                except TimeoutError:
                    self._left(deadline)
                except OSError:
                    raise ModelError(self._how_it_ended(asked)) from None
            stream.settimeout(None)

    def _answer(self, asked: _Asked, deadline: float) -> list[Array]:
        data = bytearray()
        self._receive(asked, data, ANSWER.size, deadline)
        how, length = ANSWER.unpack_from(data)
        if length > (HEADER_BYTES if how == WELL else 4 * WORDS):
            raise ModelError("answered with lengths that are too long")
        start = ANSWER.size + length
        self._receive(asked, data, start, deadline)
        header = bytes(data[ANSWER.size : start])
        if how != WELL:
            words = header.decode(errors="replace")
            raise MisfitError(words) if how == MISFIT else RaisedError(words)
        try:
            arrays, size = read_lengths(header, len(self.model.outputs))
            if size > OUTPUT_BYTES:
                most = f"{OUTPUT_BYTES >> 20} MiB"
                raise MisfitError(f"gave {size} bytes of outputs, more than {most}: return less")
            outputs = unpacked(
                self._rest(asked, data[start:], size, deadline),
                arrays,
                self._output_types,
            )
        except FrameError as error:
            raise ModelError(f"answered with something else than arrays: {error}") from error
        for tensor, output in zip(self.model.outputs, outputs, strict=True):
            self._check_shape(tensor, output, asked.rows)
        return outputs

    def _receive(self, asked: _Asked, data: bytearray, size: int, deadline: float) -> None:
        """Receive until there are so many bytes; whatever else has come is taken with them."""
        while len(data) < size:
            more = asked.read(MESSAGE, self._left(deadline))
            if more is None:
                continue
            if not more:
                raise ModelError(self._how_it_ended(asked))
            data += more

    def _rest(self, asked: _Asked, begun: bytearray, size: int, deadline: float) -> memoryview:
        """Receive the arrays, of which some bytes have come already, into memory of their own."""
        if len(begun) >= size:
            return memoryview(begun)[:size]
        view, got = np.empty(size, np.uint8).data, len(begun)
        view[:got] = begun
        while got < size:
            more = asked.read_into(view[got:], self._left(deadline))
            if more is None:
                continue
            if not more:
                raise ModelError(self._how_it_ended(asked))
            got += more
        return view

    def _left(self, deadline: float) -> float:
        """Seconds that are left."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelTimeoutError(f"took longer than {self.model.timeout:g} s")
        return left

    def _how_it_ended(self, asked: _Asked) -> str:
        words = self.state.words_after(asked.deaths, LAST_WORDS)
        return f"its worker {words or 'ended during the call; the log may say why'}"

    def _check_shape(self, tensor: PlanTensor, output: Array, rows: int) -> None:
        leading = () if self.model.batch is Batch.SINGLE else (rows,)
        wanted = (*leading, *tensor.shape)
        if wanted == output.shape:
            return
        if len(wanted) != output.ndim or not all(
            want in (ANY_LENGTH, got) for want, got in zip(wanted, output.shape, strict=True)
        ):
            lengths = ["any" if n == ANY_LENGTH else str(n) for n in wanted]
            of = "" if self.model.batch is Batch.SINGLE else f" for {rows} rows"
            raise MisfitError(
                f"gave {tensor.graph_name!r} of shape {list(output.shape)}, outputs says"
                f" [{', '.join(lengths)}]{of}"
            )


def _socket_pair() -> tuple[int, int]:
    """Two ends on which much can be sent either way."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return pair[0].detach(), pair[1].detach()
