"""A Python model as the steps see it: sends each call to whichever worker is free.

Every call makes a pipe and puts its end for the answer, with the arrays, into a queue that all
processes of the engine and all workers of the model share. The kernel hands it to one worker; what
the worker answers, and that it died, comes back on the other end (`asked.py`). Arrays too long for
the queue lie in memory that is lent (`segments.py`), and where there is none, a pair of sockets
stands in for the pipe: they follow on it.
"""

import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiltyard_api.plan import PlanModel
from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_api.v1alpha1.models import Batch
from tiltyard_engine.columns import Array
from tiltyard_engine.model import DEAR, ModelDownError, ModelError
from tiltyard_engine.python.asked import Asked, Until, Way, fits_queue
from tiltyard_engine.python.state import Health, State
from tiltyard_engine.python.worker.frames import FrameError, Packed, packed, places, unpacked
from tiltyard_engine.python.worker.serve import ANSWER, MISFIT, WELL, WORDS

OUTPUT_BYTES = 64 << 20
"""Most bytes of one answer: a worker must not fill the engine's memory."""

HEADER_BYTES = 32 << 10
"""Most bytes of an answer's lengths."""

AHEAD = 2
"""Short calls of one request that wait in the queue beyond those at work: no worker sleeps between
two rows then, and has to be woken, which is a quarter of what a row costs."""


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
        self._way = Way(self.queue, self.state, self.workers)
        self._timeout = model.timeout
        self._single = model.batch is Batch.SINGLE
        self._types = tuple(tensor.type.value for tensor in model.inputs)
        self._output_types = tuple(tensor.type.value for tensor in model.outputs)
        self._output_shapes = [tensor.shape for tensor in model.outputs]

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
        until, arrays = self._until(timeout), packed(inputs, self._types)
        while (asked := self._ask(arrays, until)) is None:
            self._way.wait_for_room(until)
        try:
            return self._answer(asked, _rows(inputs))
        finally:
            asked.close()

    def run_each(
        self, calls: Iterable[Sequence[Array]], *, timeout: float | None = None
    ) -> list[list[Array]]:
        """Run several calls, on as many workers as there are at once.

        Where one fails, some of those behind it may have run, too.
        """
        until = self._until(timeout)
        waiting, results = deque[tuple[Asked, int]](), list[list[Array]]()
        try:
            for inputs in calls:
                arrays = packed(inputs, self._types)
                most = self.workers + (AHEAD if fits_queue(arrays) else 0)
                while len(waiting) >= most or (asked := self._ask(arrays, until)) is None:
                    if (
                        waiting
                    ):  # read it even where only room is wanted: its worker may wait for us
                        results.append(self._next(waiting))
                    else:
                        self._way.wait_for_room(until)
                waiting.append((asked, _rows(inputs)))
            while waiting:
                results.append(self._next(waiting))
        finally:
            for asked, _ in waiting:
                asked.close()
        return results

    def _next(self, waiting: deque[tuple[Asked, int]]) -> list[Array]:
        asked, rows = waiting.popleft()
        try:
            return self._answer(asked, rows)
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
        return self._down_words() if self.state.health is Health.DOWN else None

    def _down_words(self) -> str:
        return f"keeps failing and is tried again in a while; its last worker {self.state.words}"

    def after_fork(self) -> None:
        """Leave the queue's other end to those who read it."""
        self.workers_end.close()
        self._way = Way(self.queue, self.state, self.workers)

    def close(self) -> None:
        """Leave the queue; workers end when everybody has."""
        self._way.segments.close()
        self.queue.close()
        self.workers_end.close()

    def _until(self, timeout: float | None) -> Until:
        seconds = timeout or self._timeout
        return Until(time.monotonic() + seconds, seconds)

    def _ask(self, arrays: Packed, until: Until) -> Asked | None:
        """Put a call into the queue; None: it is full."""
        health, deaths = self.state.read()
        if health == Health.DOWN:
            raise ModelDownError(self._down_words())
        return self._way.ask(arrays, deaths, until)

    def _answer(self, asked: Asked, rows: int) -> list[Array]:
        data = bytearray()
        asked.receive(data, ANSWER.size)
        how, length = ANSWER.unpack_from(data)
        if length > (HEADER_BYTES if how == WELL else 4 * WORDS):
            raise ModelError("answered with lengths that are too long")
        begin = ANSWER.size + length
        asked.receive(data, begin)
        header = bytes(data[ANSWER.size : begin])
        if how != WELL:
            asked.take_back(data[begin:])
            words = header.decode(errors="replace")
            raise MisfitError(words) if how == MISFIT else RaisedError(words)
        try:
            where, size = places(header, self._output_types)
            if size > OUTPUT_BYTES:
                most = f"{OUTPUT_BYTES >> 20} MiB"
                raise MisfitError(f"gave {size} bytes of outputs, more than {most}: return less")
            if len(data) >= begin + size:
                outputs = unpacked(data, begin, where)
                tail = data[begin + size :]
            else:
                outputs = unpacked(asked.rest(data[begin:], size), 0, where)
                tail = bytearray()
        except FrameError as error:
            raise ModelError(f"answered with something else than arrays: {error}") from error
        asked.take_back(tail)
        leading = () if self._single else (rows,)
        for output, shape in zip(outputs, self._output_shapes, strict=True):
            if output.shape != (*leading, *shape):
                self._check_shapes(outputs, leading)
        return outputs

    def _check_shapes(self, outputs: Sequence[Array], leading: tuple[int, ...]) -> None:
        """Refuse outputs of other lengths; some may be of any."""
        for tensor, output in zip(self.model.outputs, outputs, strict=True):
            wanted = (*leading, *tensor.shape)
            if len(wanted) != output.ndim or not all(
                want in (ANY_LENGTH, got) for want, got in zip(wanted, output.shape, strict=True)
            ):
                lengths = ["any" if n == ANY_LENGTH else str(n) for n in wanted]
                of = f" for {leading[0]} rows" if leading else ""
                raise MisfitError(
                    f"gave {tensor.graph_name!r} of shape {list(output.shape)}, outputs says"
                    f" [{', '.join(lengths)}]{of}"
                )


def _rows(inputs: Sequence[Array]) -> int:
    shape = inputs[0].shape
    return shape[0] if shape else 1
