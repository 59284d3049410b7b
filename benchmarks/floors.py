"""What a request cannot cost less than: the model alone, and the plainest code around it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from bodies import COLUMNS, matrix
from numpy.typing import NDArray

Bodies = list[bytes]
Work = Callable[[Bodies], object]


def open_session(model: Path) -> onnxruntime.InferenceSession:
    """Open a model with one thread, as the engine does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def model_alone(model: Path, kind: str, bodies: Bodies) -> Work:
    """Return a function that only runs the model, on rows that were decoded before."""
    session = open_session(model)
    decoded = {body: matrix(COLUMNS[kind], body) for body in bodies}
    stacks: dict[tuple[bytes, int], NDArray[np.float32]] = {}

    def work(some: Bodies) -> object:
        turn = some[0], len(some)
        stack = stacks.get(turn)
        if stack is None:
            stack = stacks[turn] = np.concatenate([decoded[body] for body in some])
        return session.run(None, {"x": stack})

    return work


def decode_run_encode(model: Path, kind: str) -> Work:
    """Return the plainest service of records: no limits, names, draw, metrics or errors."""
    session = open_session(model)
    row_type = msgspec.defstruct("Row", [(name, float) for name in COLUMNS[kind]], gc=False)
    decode = msgspec.json.Decoder(list[row_type]).decode
    encode = msgspec.json.Encoder().encode
    values = msgspec.structs.astuple

    def work(some: Bodies) -> object:
        decoded = [decode(body) for body in some]
        rows = [values(row) for request in decoded for row in request]
        scores = session.run(None, {"x": np.array(rows, np.float32)})[0].tolist()
        answers, start = [], 0
        for request in decoded:
            end = start + len(request)
            answers.append(encode([{"out": {"y": score}} for score in scores[start:end]]))
            start = end
        return answers

    return work
