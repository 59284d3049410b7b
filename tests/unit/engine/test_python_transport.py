"""How arrays travel to a worker and back: with the call, in memory that is lent, or behind it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from python_models import running, until_served
from tiltyard_engine.columns import Array
from tiltyard_engine.model import ModelError
from tiltyard_engine.python.asked import INLINE_BYTES
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.segments import MOST_BYTES, Segment, Segments
from tiltyard_engine.python.worker.frames import FrameError, packed, places, unpacked

LONG = INLINE_BYTES  # numbers of four bytes: too long for the queue
TENSOR = {"type": "float32", "shape": [-1]}
FIELDS = {"inputs": [{"name": "x", **TENSOR}], "outputs": [{"name": "y", **TENSOR}]}


def numbers(value: float, count: int = LONG) -> list[Array]:
    return [np.full((1, count), value, np.float32)]


def ends(model: PythonModel, value: float) -> tuple[float, float]:
    """First and last number of what comes back for an array of one number."""
    (output,) = model.run(numbers(value))
    return float(output[0, 0]), float(output[0, -1])


KEEPS = """
    HELD = []
    def process_data(input_data):
        if not HELD:
            HELD.append({kept})
        return {{"y": HELD[0].copy()}}
"""


@pytest.mark.parametrize(
    "kept",
    ["input_data['x']", "input_data['x'][:, 5:-5]", "input_data['x'].reshape(-1, 2).T[:1]"],
)
def test_what_a_function_keeps_stays_as_it_was(tmp_path: Path, kept: str) -> None:
    with running(tmp_path, KEEPS.format(kept=kept), **FIELDS) as model:
        for value in range(1, 9):
            assert ends(model, value) == (1, 1)


def test_what_a_function_keeps_by_the_whole_dict_stays_as_it_was(tmp_path: Path) -> None:
    source = """
        HELD = []
        def process_data(input_data):
            HELD.append(input_data)
            return {"y": [[held["x"][0, -1] for held in HELD]]}
    """
    with running(tmp_path, source, **FIELDS) as model:
        for value in range(1, 9):
            (output,) = model.run(numbers(value))
    assert output.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_long_arrays_may_be_changed_in_place_and_given_back(tmp_path: Path) -> None:
    source = """
        def process_data(input_data):
            input_data["x"] += 1
            return {"y": input_data["x"]}
    """
    with running(tmp_path, source, **FIELDS) as model:
        given = numbers(1)
        (output,) = model.run(given)
        assert (output == 2).all()
        assert (given[0] == 1).all()
        assert ends(model, 5) == (6, 6)
        assert (output == 2).all()


def test_more_calls_at_once_than_memory_is_lent_for_get_their_own_answers(tmp_path: Path) -> None:
    source = """
        def process_data(input_data):
            return {"y": input_data["x"] * 2}
    """
    with running(tmp_path, source, **FIELDS) as model, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda value: ends(model, value), range(40)))
    assert found == [(value * 2, value * 2) for value in range(40)]


def test_long_answers_to_many_short_calls_do_not_block_each_other(tmp_path: Path) -> None:
    source = """
        import numpy as np
        def process_data(input_data):
            return {"y": np.tile(input_data["x"], 70)}
    """
    rows = [numbers(value, 7_000) for value in range(6)]
    with running(tmp_path, source, **FIELDS, workers=2) as model, ThreadPoolExecutor(4) as pool:
        for answers in pool.map(lambda _: model.run_each(rows), range(4)):
            assert [float(answer[0][0, -1]) for answer in answers] == [0, 1, 2, 3, 4, 5]


BREAKS = """
    import os, time
    def process_data(input_data):
        what = input_data["x"][0, 0]
        if what == 1:
            raise ValueError("one")
        if what == 2:
            os._exit(3)
        if what == 3:
            time.sleep(1000)
        return {"y": input_data["x"]}
"""


@pytest.mark.parametrize(("value", "times"), [(1, 4), (2, 2), (3, 1)])
def test_a_call_with_long_arrays_that_fails_spoils_no_other(
    tmp_path: Path, value: int, times: int
) -> None:
    with running(tmp_path, BREAKS, **FIELDS, timeout="2s") as model:
        for good in range(10, 10 + times):
            with pytest.raises(ModelError):
                model.run(numbers(value))
            until_served(model, numbers(0))
            assert ends(model, good) == (good, good)


def test_a_segment_is_lent_to_one_call_at_a_time_and_then_again() -> None:
    with closing(Segments(1)) as segments:
        first, second = segments.take(100_000), segments.take(100_000)
        assert first is not None
        assert second is not None
        assert first is not second
        assert segments.take(100_000) is None
        segments.give_back(first)
        assert segments.take(50_000) is first
        segments.lost(second)
        third = segments.take(100_000)
        assert third is not None
        assert third is not second
        for segment in (first, third):
            segments.give_back(segment)


def test_a_segment_that_is_too_short_gives_way_to_one_that_is_not() -> None:
    with closing(Segments(1)) as segments:
        short = segments.take(100_000)
        assert short is not None
        segments.give_back(short)
        long = segments.take(200_000)
        assert long is not None
        assert long.size >= 200_000
        segments.give_back(long)
        assert segments.take(MOST_BYTES + 1) is None


def test_nobody_can_shrink_a_segment_under_us() -> None:
    segment = Segment(1 << 16)
    with closing(segment), pytest.raises(PermissionError):
        os.ftruncate(segment.descriptor, 0)


def header(*values: int) -> bytes:
    return np.array(values, "<i8").tobytes()


NO_LENGTHS = [
    (b"1234567", "lengths are cut"),
    (header(), "lengths are missing"),
    (header(1), "lengths are missing"),
    (header(1, 1), "lengths are missing"),
    (header(33), "33 dimensions"),
    (header(-1), "-1 dimensions"),
    (header(1, -1, -4), "a length below 0"),
    (header(1, 2, 4), r"4 bytes for float32\[2\]"),
    (header(1, 1, 4, 0), "more lengths than arrays"),
    (header(2, 0, 1 << 62, 0), "lengths beyond any memory"),
]


@pytest.mark.parametrize(("lengths", "words"), NO_LENGTHS)
def test_lengths_that_cannot_be_are_refused(lengths: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        places(lengths, ("float32",))


@pytest.mark.parametrize("memory", [bytearray, lambda data: memoryview(bytearray(data))])
def test_arrays_share_the_memory_that_they_came_in(
    memory: Callable[[bytes], bytearray | memoryview],
) -> None:
    types = ("int8", "string", "float64", "bool")
    given: list[Array] = [
        np.arange(3, dtype=np.int8),
        np.array([["ä", ""]], object),
        np.ones((2, 0, 3)),
        np.array(True),
    ]
    lengths, pieces, size = packed(given, types)
    where, wanted = places(lengths, types)
    assert wanted == size == sum(map(len, pieces))
    data = memory(bytes(8) + b"".join(pieces))
    found = unpacked(data, 8, where)
    assert [array.tolist() for array in found] == [array.tolist() for array in given]
    found[0][:] = 7
    assert bytes(data)[8:11] == b"\x07\x07\x07"
