"""Runs a converted model and says how far it is from its original."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tiltyard.failure import Failure

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far an output is from the original's, in the row where it is furthest."""

    output: str
    absolute: float
    """Largest difference; of what is no number, 1 where they differ."""

    relative: float
    """Largest difference beside the value or, where that is smaller, beside the mean size."""

    row: int
    ours: str
    theirs: str


def run(model: Path, inputs: Arrays) -> dict[str, Array]:
    """Answer of a graph.

    Raises:
        Failure: it does not load, or does not run.

    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what matters is raised
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        given = {name: _texts(array) for name, array in inputs.items()}
        return dict(zip(names, session.run(names, given), strict=True))
    except Exception as error:  # its errors share no class
        why = str(error).rpartition(" : ")[2].rpartition(" Error ")[2].splitlines()[0]
        raise Failure(
            f"onnxruntime {onnxruntime.__version__} does not run the converted model: {why}:"
            " leave out what ONNX has no operator for, or serve the model as a Python function"
        ) from error


def _texts(array: Array) -> Array:
    return array.astype(object) if array.dtype.kind == "U" else array


LABEL, PROBABILITIES = "label", "probabilities"
"""What converters of classifiers name their outputs."""


def differences(ours: Arrays, theirs: Arrays, tolerance: float) -> list[Difference]:
    """Compare output by output.

    A label may be any of those that are equally probable: only where the original is sure of one by
    more than the tolerance does another one count.

    Raises:
        Failure: an output is missing, or of another size.

    """
    found = []
    for name, wanted in theirs.items():
        got = ours.get(name)
        if got is None:
            raise Failure(f"the converted model has no output {name!r}: report it")
        if got.size != wanted.size:
            shapes = f"{list(got.shape)}, and {list(wanted.shape)} in the original"
            raise Failure(f"output {name!r} has the shape {shapes}: it cannot be served so")
        got = got.reshape(wanted.shape)
        if name == LABEL and PROBABILITIES in theirs and wanted.ndim == 1:
            got = np.where(_undecided(theirs[PROBABILITIES], tolerance), wanted, got)
        found.append(_difference(name, got, wanted))
    return found


def _undecided(probabilities: Array, tolerance: float) -> Array:
    """Tell for each row whether its two best classes are equally probable."""
    best = np.sort(probabilities, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] <= tolerance)


def _difference(name: str, ours: Array, theirs: Array) -> Difference:
    if theirs.size == 0:
        return Difference(name, 0.0, 0.0, 0, "", "")
    if theirs.dtype.kind == "f" or ours.dtype.kind == "f":
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        with np.errstate(invalid="ignore"):
            absolute = np.where(a == b, 0.0, np.abs(a - b))
        absolute = np.where(np.isnan(a) & np.isnan(b), 0.0, absolute)
        absolute = np.where(np.isnan(absolute), np.inf, absolute)
        finite = np.abs(b[np.isfinite(b)])
        size = max(float(finite.mean()) if finite.size else 0.0, float(np.finfo(np.float32).tiny))
        relative = absolute / np.fmax(np.where(np.isfinite(b), np.abs(b), 0.0), size)
    else:
        absolute = relative = (ours.astype(str) != theirs.astype(str)).astype(np.float64)
    where = np.unravel_index(int(relative.argmax()), relative.shape)
    row = int(where[0]) if where else 0
    return Difference(
        name,
        float(absolute.max()),
        float(relative.max()),
        row,
        str(ours[where]),
        str(theirs[where]),
    )
