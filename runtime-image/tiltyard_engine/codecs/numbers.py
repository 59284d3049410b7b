"""Large JSON arrays of numbers, read without a Python object for each where pysimdjson is there.

Only ever a short cut: what it does not take as it stands is read by msgspec, which also says what
is wrong.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from tiltyard_engine.columns import Array

SIMDJSON: Any = import_module("simdjson") if find_spec("simdjson") else None
"""The extra `simd`, where it is installed."""

LARGE = 8192
"""Bytes from which it pays."""

KEPT = 2 * 1024 * 1024
"""Bytes up to which the parser's memory, some ten times as much, is kept for the next body."""

_WIDE = {"f": ("d", np.float64), "i": ("i", np.int64), "u": ("u", np.uint64)}


class NumbersReader:
    """Parses `{"inputs": [{"datatype": …, "data": [1, 2, …]}, …]}`."""

    def __init__(self, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        self._dtypes = dtypes
        self._parser = SIMDJSON.Parser() if SIMDJSON else None

    def parse(self, text: bytes) -> tuple[dict[str, Any], list[Array | None]] | None:
        """Plain values of everything but the data, and an array for the data of each input.

        None where something needs a closer look.
        """
        if self._parser is None or len(text) < LARGE:
            return None
        parser = self._parser if len(text) <= KEPT else SIMDJSON.Parser()
        try:
            document = parser.parse(text)
            inputs = list(document["inputs"])
            arrays = [self._array(one) if "data" in one else None for one in inputs]
            # Nested lists would come out flat, whatever the lengths of the inner ones.
            if text.count(b"[") > 1 + 2 * len(inputs) + ("outputs" in document):
                return None
            head = {key: _plain(document[key]) for key in document if key != "inputs"}
            head["inputs"] = [{k: _plain(one[k]) for k in one if k != "data"} for one in inputs]
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            return None
        return head, arrays

    def _array(self, parsed: Any) -> Array:  # noqa: ANN401 - the library is untyped
        """Numbers of one input.

        Raises:
            ValueError: they are not what the datatype says, or there is none such.

        """
        dtype = self._dtypes[parsed["datatype"]]
        letter, wide_type = _WIDE[dtype.kind]
        wide = np.frombuffer(parsed["data"].as_buffer(of_type=letter), wide_type)
        with np.errstate(over="ignore"):
            narrow = wide.astype(dtype)
        if dtype.kind == "f":
            fits = bool(np.isfinite(narrow).all())
        else:
            fits = bool(np.array_equal(narrow, wide))
        if not fits:
            raise ValueError("out of range")
        return narrow


def _plain(parsed: Any) -> object:  # noqa: ANN401 - the library is untyped
    for method in ("as_dict", "as_list"):
        if hasattr(parsed, method):
            return getattr(parsed, method)()
    return parsed
