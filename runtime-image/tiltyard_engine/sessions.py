"""The only module that talks to onnxruntime: loads models, runs them, learns what they cost.

Threads are one a call unless asked for, and never spin: a spinning pool burns a core between
calls. Under some 200 microseconds a call is cheaper inline than handed to a thread.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tiltyard_api.plan import PlanModel
from tiltyard_api.resolved import GraphTensor
from tiltyard_api.tensors import ANY_LENGTH, TensorType
from tiltyard_api.v1alpha1.models import Batch
from tiltyard_engine.columns import Array, aligned
from tiltyard_engine.model import DEAR, Cost, ModelError, ModelTimeoutError, made_up
from tiltyard_engine.onnxfile import read_facts

NEVER_INLINE = frozenset({"Loop", "Scan", "If"})
"""Operators whose running time depends on the data: a call of theirs may never end."""

PROBE_ROWS = 64
"""Rows of the larger of the two batches that a model's cost is measured with."""

PROBES = 7
"""Calls of which the quickest counts: others on the machine only ever make one slower."""

PROBE_SECONDS = 0.1
"""Time after which no further probe is made: an engine has to be ready soon."""

QUICK_SECONDS = 0.1
"""A model that takes longer for a row is measured once: it is dear in any case."""

PROBE_TIMEOUT = 2.0
"""Seconds that one made-up call may take before the model counts as dear."""

_TYPES = {
    "tensor(float16)": TensorType.FLOAT16,
    "tensor(float)": TensorType.FLOAT32,
    "tensor(double)": TensorType.FLOAT64,
    "tensor(bool)": TensorType.BOOL,
    "tensor(string)": TensorType.STRING,
} | {
    f"tensor({name})": TensorType(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}


class Watchdog:
    """Ends calls that run past their deadline. One thread, started with the first call.

    The thread is not woken for a call whose deadline comes after its next look: a switch of threads
    would cost more than most calls.
    """

    def __init__(self) -> None:
        self._deadlines: dict[onnxruntime.RunOptions, float] = {}
        self._next_look = inf
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self, options: Any, timeout: float) -> None:  # noqa: ANN401 - onnxruntime is untyped
        """Watch one call."""
        deadline = time.monotonic() + timeout
        with self._wake:
            self._deadlines[options] = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            if deadline < self._next_look:
                self._next_look = deadline
                self._wake.notify()

    def stop(self, options: Any) -> bool:  # noqa: ANN401 - onnxruntime is untyped
        """Watch no longer. Returns whether the call was ended by its deadline."""
        with self._wake:
            return self._deadlines.pop(options, None) is None

    def _watch(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                for options in [o for o, deadline in self._deadlines.items() if deadline <= now]:
                    options.terminate = True
                    del self._deadlines[options]
                self._next_look = min(self._deadlines.values(), default=inf)
                self._wake.wait(None if self._next_look == inf else self._next_look - now)


class Session:
    """A loaded graph: arrays in, arrays out, in the order of the plan's inputs and outputs."""

    waits = False

    def __init__(self, model: PlanModel, path: Path) -> None:
        self.model = model
        self._path = path
        self._session = _opened(path, model.threads)
        self._inputs = [tensor.graph_name for tensor in model.inputs]
        self._outputs = [tensor.graph_name for tensor in model.outputs]
        self._watchdog = Watchdog()
        self.cost, self.batchable = DEAR, False
        self._never_inline = bool(read_facts(path).operators & NEVER_INLINE)

    def run(self, inputs: Sequence[Array], *, timeout: float | None = None) -> list[Array]:
        """Run the graph.

        Args:
            inputs: one array for each input of the plan, as the graph wants them.
            timeout: seconds; None runs to the end, for models known to be cheap.

        Raises:
            ModelTimeoutError: the call was ended at its deadline.
            ModelError: the graph failed; the message is the runtime's own.

        """
        feeds = dict(zip(self._inputs, map(aligned, inputs), strict=True))
        try:
            if timeout is None:
                return self._session.run(self._outputs, feeds)  # type: ignore[no-any-return]  # untyped
            return self._watched(feeds, timeout)
        except ModelError:
            raise
        except Exception as error:  # onnxruntime raises a class of its own for every failure
            raise ModelError(_first_line(error)) from error

    def run_each(
        self, calls: Iterable[Sequence[Array]], *, timeout: float | None = None
    ) -> list[list[Array]]:
        """Run calls one after the other, with a timeout for all of them."""
        deadline = None if timeout is None else time.monotonic() + timeout
        results = []
        for inputs in calls:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise ModelTimeoutError(f"took longer than {timeout:g} s")
            results.append(self.run(inputs, timeout=left))
        return results

    def why_down(self) -> str | None:
        """Nothing: a graph that was loaded runs."""
        return None

    def _watched(self, feeds: dict[str, Array], timeout: float) -> list[Array]:
        options = onnxruntime.RunOptions()
        self._watchdog.start(options, timeout)
        try:
            outputs: list[Array] = self._session.run(self._outputs, feeds, options)
        except Exception:
            if self._watchdog.stop(options):
                raise ModelTimeoutError(f"took longer than {timeout:g} s") from None
            raise
        self._watchdog.stop(options)
        return outputs

    def learn(self) -> None:
        """Warm up and measure on made-up rows: cost, and whether requests may be stacked.

        A model that cannot run on made-up rows is served all the same, each request alone and
        off the event loop.
        """
        single = self.model.batch is Batch.SINGLE
        try:
            measured = self._measure(1 if single else PROBE_ROWS)
            if not self._never_inline:
                self.cost = measured
            self.batchable = not single and self._rows_are_independent()
        except ModelError:
            return

    def _measure(self, rows: int) -> Cost:
        one = self._time(1)
        if one < QUICK_SECONDS:
            one = self._quickest(1)
        if rows == 1 or one > QUICK_SECONDS:
            return Cost(fixed=0.0, per_row=one)
        many = self._quickest(rows)
        per_row = max(many - one, 0.0) / (rows - 1)
        return Cost(fixed=max(one - per_row, 0.0), per_row=per_row)

    def _quickest(self, rows: int) -> float:
        times = [self._time(rows)]
        while len(times) < PROBES and sum(times) < PROBE_SECONDS:
            times.append(self._time(rows))
        return min(times)

    def _time(self, rows: int) -> float:
        inputs = made_up(self.model, rows)
        start = time.perf_counter()
        self.run(inputs, timeout=PROBE_TIMEOUT)
        return time.perf_counter() - start

    def _rows_are_independent(self) -> bool:
        """Whether rows give the very bits in a batch that they give alone."""
        for rows in (2, 3, 17, PROBE_ROWS):
            inputs = made_up(self.model, rows)
            together = self.run(inputs, timeout=PROBE_TIMEOUT)
            if any(not array.shape for array in together):
                return False
            for row in range(rows):
                alone = self.run([array[row : row + 1] for array in inputs], timeout=PROBE_TIMEOUT)
                if not all(map(_same_bits, alone, (array[row : row + 1] for array in together))):
                    return False
        return True

    def after_fork(self) -> None:
        """Replace what has threads, which do not survive a fork: the watchdog, a thread pool."""
        self._watchdog = Watchdog()
        if self.model.threads > 1:
            # To end it would mean to wait for its threads, which are not here.
            self._inherited = self._session
            self._session = _opened(self._path, self.model.threads)


def signature(path: Path) -> tuple[tuple[GraphTensor, ...], tuple[GraphTensor, ...]]:
    """Inputs and outputs as the graph declares them.

    Raises:
        ModelError: onnxruntime cannot load the file.

    """
    session = _opened(path, threads=1)
    return _tensors(session.get_inputs()), _tensors(session.get_outputs())


def _opened(path: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime is untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for every failure
        words = _first_line(error).replace(f"Load model from {path} failed:", "")
        raise ModelError(words) from error


def _tensors(nodes: Sequence[Any]) -> tuple[GraphTensor, ...]:
    return tuple(
        GraphTensor(
            name=node.name,
            type=_TYPES.get(node.type, node.type),
            shape=tuple(n if isinstance(n, int) else ANY_LENGTH for n in node.shape),
        )
        for node in nodes
    )


def _same_bits(one: Array, other: Array) -> bool:
    """Whether arrays are the same. One NaN is like another: its bits may differ by its place."""
    if one.shape != other.shape:
        return False
    if one.dtype == object:
        return bool(one.tolist() == other.tolist())
    if one.dtype.kind == "f":
        one, other = (np.where(np.isnan(array), np.nan, array) for array in (one, other))
    return one.tobytes() == other.tobytes()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:500]
