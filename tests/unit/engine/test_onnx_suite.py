"""The models that ship as test data in the onnx package, served and run bare."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onnx_suite import bare, candidates
from planes import Answer, opened
from tiltyard_api.faults import InvalidManifest
from tiltyard_engine.artifacts import ArtifactError
from tiltyard_engine.columns import Array

AT_LEAST = 80
"""Models that must be served and compared, of some 140: fewer means that we refuse more."""


def records(feeds: dict[str, Array]) -> list[dict[str, Any]]:
    rows = len(next(iter(feeds.values())))
    return [{name: array[row].tolist() for name, array in feeds.items()} for row in range(rows)]


def same_bits(answer: Answer, outputs: dict[str, Array]) -> bool:
    """Whether an answer holds the very bits, and null exactly where there is no number."""

    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(one) for one in value]
        return math.nan if value is None else value

    for name, array in outputs.items():
        got = np.array([number(row["out"][name]) for row in answer.json], array.dtype)
        wanted = (
            np.where(np.isfinite(array), array, array.dtype.type(math.nan))
            if (array.dtype.kind == "f")
            else array
        )
        if got.reshape(wanted.shape).tobytes() != wanted.astype(array.dtype).tobytes():
            return False
    return True


def test_served_models_give_what_onnxruntime_gives_bit_for_bit(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    served, others = 0, []
    for index, (name, data) in enumerate(candidates()):
        pairs = bare(data)
        if pairs is None:
            continue
        folder = tmp_path / str(index)
        folder.mkdir()
        try:
            with opened(folder, {"a": data}) as plane:
                answers = plane.ask_all([json.dumps(records(f)).encode() for f, _ in pairs])
        except (ArtifactError, InvalidManifest):
            continue
        served += 1
        for answer, (_, outputs) in zip(answers, pairs, strict=True):
            if answer.status != 200 or not same_bits(answer, outputs):
                others.append((name, answer.body[:200]))
    record_property("models", served)
    assert others == []
    assert served >= AT_LEAST
