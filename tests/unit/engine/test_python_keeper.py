"""What one Python model does to the process that keeps the workers of all: nothing."""

from pathlib import Path

import pytest

from programs import alive
from python_models import DOUBLE, PATIENCE, ask, kept, made, written
from tiltyard_engine.model import ModelError
from tiltyard_engine.python.calls import PythonModel
from waiting import await_that

UNREADABLE_NAME = """
import ctypes

ctypes.CDLL(None).prctl(15, b"\\xff\\xfe", 0, 0, 0)
"""

BRACKETS_FOR_A_REPORT = """
import json, os, sys

os.write(json.loads(sys.argv[1])["report"], b"[" * 60_000)
"""

ENDS = """
import os

def process_data(input_data):
    if input_data["x"][0] < 0:
        os._exit(3)
    return {"y": input_data["x"] * 2}
"""


@pytest.mark.parametrize("source", [UNREADABLE_NAME, BRACKETS_FOR_A_REPORT])
def test_workers_of_other_models_are_started_again_beside_it(tmp_path: Path, source: str) -> None:
    odd = made(written(tmp_path / "odd", source + DOUBLE))
    other = made(written(tmp_path / "other", ENDS))
    with kept(odd, other) as keeper:
        assert other.wait_loaded(PATIENCE) is None
        for _ in range(2):
            with pytest.raises(ModelError, match="ended with exit code 3"):
                ask(other, -1)
            await_that(lambda: served(other))
        assert alive(keeper)


def served(model: PythonModel) -> bool:
    try:
        return ask(model, 2) == [4]
    except ModelError:
        return False
