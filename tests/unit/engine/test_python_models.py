"""Python models that do what they should: what goes in, what comes out, and what is checked."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import python_models
from python_models import DOUBLE, PATIENCE, ask, kept, made, running, written
from tiltyard_engine.columns import DTYPES, Array
from tiltyard_engine.execute import Job, Outcome, Ran, execute
from tiltyard_engine.model import ModelError
from tiltyard_engine.python.asked import INLINE_BYTES
from tiltyard_engine.python.calls import OUTPUT_BYTES, PythonModel
from waiting import await_that

ECHO = """
def process_data(input_data):
    return {"y": input_data["x"]}
"""


def test_rows_go_in_and_come_out(tmp_path: Path) -> None:
    with running(tmp_path, DOUBLE) as model:
        assert ask(model, 1, 2.5, -3) == [2, 5, -6]


@pytest.mark.parametrize("kind", [kind.value for kind in DTYPES])
def test_every_type_crosses_both_ways(tmp_path: Path, kind: str) -> None:
    tensor = {"type": kind, "shape": [2]}
    values: Array = np.array([[1, 0], [0, 1], [1, 1]]).astype(
        object if kind == "string" else np.dtype(kind)
    )
    if kind == "string":
        values = np.array([["ä", ""], ["\x00", "💡"], ['"', "\n"]], object)
    fields = {"inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}]}
    with running(tmp_path, ECHO, **fields) as model:
        (output,) = model.run([values])
    assert output.dtype == values.dtype
    assert output.tolist() == values.tolist()


@pytest.mark.parametrize(
    "numbers", [0, 1, INLINE_BYTES // 4, INLINE_BYTES // 4 + 1, 1_000_003, 3_000_003]
)
def test_arrays_of_any_size_cross_unchanged(tmp_path: Path, numbers: int) -> None:
    shape = {"type": "float32", "shape": [-1]}
    fields = {"inputs": [{"name": "x", **shape}], "outputs": [{"name": "y", **shape}]}
    values = np.random.default_rng(numbers).standard_normal((1, numbers)).astype(np.float32)
    with running(tmp_path, ECHO, **fields) as model:
        (output,) = model.run([values])
    assert output.tobytes() == values.tobytes()
    assert output.shape == values.shape


def test_several_tensors_keep_their_names_and_order(tmp_path: Path) -> None:
    source = """
        def process_data(input_data):
            assert list(input_data) == ["a", "own"]
            texts = input_data["own"].astype(str)
            return {"more": 1, "sum": input_data["a"] + input_data["own"], "text": texts}
    """
    fields = {
        "inputs": [
            {"name": "a", "type": "int8"},
            {"name": "b", "from": "own", "type": "int64"},
        ],
        "outputs": [
            {"name": "t", "from": "text", "type": "string"},
            {"name": "sum", "type": "int64"},
        ],
    }
    with running(tmp_path, source, **fields) as model:
        texts, sums = model.run([np.array([1, 2], np.int8), np.array([10, 20])])
    assert texts.tolist() == ["10", "20"]
    assert sums.tolist() == [11, 22]


def test_what_comes_in_may_be_changed_in_place(tmp_path: Path) -> None:
    source = """
        def process_data(input_data):
            input_data["x"] += 1
            return {"y": input_data["x"]}
    """
    with running(tmp_path, source) as model:
        assert ask(model, 1) == [2]


def test_load_runs_once_in_the_worker_with_the_models_folder(tmp_path: Path) -> None:
    source = """
        from pathlib import Path
        from helper import scale
        LOADED = []
        def load(path):
            LOADED.append(float(Path(path, "weights.txt").read_text()))
        def process_data(input_data):
            return {"y": scale(input_data["x"], sum(LOADED))}
    """
    folder = written(tmp_path / "model", source, helper="def scale(x, by):\n    return x * by\n")
    (folder / "weights.txt").write_text("7")
    model = made(folder)
    with kept(model):
        assert model.wait_loaded(PATIENCE) is None
        assert ask(model, 1) == ask(model, 1) == [7]


def test_models_written_for_others_run_unchanged(tmp_path: Path) -> None:
    source = """
        from mac.types import InferenceData
        import numpy as np
        def process_data(input_data: InferenceData) -> InferenceData:
            count = input_data["count"].reshape(-1)
            forecast = np.repeat(count.mean().round().astype(int), 7)
            return {"forecast": np.array([forecast]), "weekly_average": np.array([forecast.mean()])}
    """
    folder = written(tmp_path / "zip", "")
    (folder / "model.py").rename(folder / "forecast_alternate.py")
    written(tmp_path / "zip", source)
    (folder / "model.py").replace(folder / "forecast_alternate.py")
    model = made(
        folder,
        inputs=[{"name": "count", "type": "int32", "shape": [-1]}],
        outputs=[
            {"name": "forecast", "type": "int32", "shape": [7]},
            {"name": "weekly_average", "type": "float32"},
        ],
    )
    with kept(model):
        assert model.wait_loaded(PATIENCE) is None
        forecast, average = model.run([np.array([[1, 2, 6]], np.int32)])
    assert forecast.tolist() == [[3] * 7]
    assert average.tolist() == [3.0]


def test_a_single_file_is_a_model_too(tmp_path: Path) -> None:
    file = tmp_path / ("0" * 64)  # as the store names it
    file.write_text(DOUBLE)
    model = made(file)
    with kept(model):
        assert model.wait_loaded(PATIENCE) is None
        assert ask(model, 4) == [8]


WRONG = [
    ("[1.0]", "process_data returned list, not a dict of arrays by name"),
    ("None", "process_data returned NoneType, not a dict of arrays by name"),
    ("{'z': 1}", "process_data returned no 'y' (there: z)"),
    ("{}", "process_data returned no 'y' (there: nothing)"),
    ("{'y': np.array(['a'])}", "output 'y' is <U1, outputs says float32"),
    ("{'y': [[1], [2, 3]]}", "output 'y' is no array: "),
    ("{'y': np.ones((1, 1))}", "gave 'y' of shape [1, 1], outputs says [1] for 1 rows"),
    ("{'y': 1.0}", "gave 'y' of shape [], outputs says [1] for 1 rows"),
    ("{'y': np.ones(2)}", "gave 'y' of shape [2], outputs says [1] for 1 rows"),
    (
        f"{{'y': np.zeros({OUTPUT_BYTES // 4 + 2}, np.float32)}}",
        f"gave {OUTPUT_BYTES + 8} bytes of outputs, more than 64 MiB: return less",
    ),
]


@pytest.mark.parametrize(("returned", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_returned_must_be_what_outputs_says(
    tmp_path: Path, returned: str, words: str
) -> None:
    source = f"import numpy as np\ndef process_data(input_data):\n    return {returned}\n"
    with running(tmp_path, source) as model:
        with pytest.raises(ModelError) as caught:
            ask(model, 1)
        assert str(caught.value).startswith(words)
        assert model.state.deaths == 0


CONVERSIONS: list[tuple[str, str, object]] = [
    ("np.array([1.1])", "float32", float(np.float32(1.1))),
    ("np.array([7])", "float64", 7.0),
    ("np.array([300])", "int16", 300),
    ("np.array([300])", "uint8", "output 'y' holds numbers beyond uint8"),
    ("np.array([-1])", "uint8", "output 'y' holds numbers beyond uint8"),
    ("np.array([1.0])", "int32", "output 'y' is float64, outputs says int32"),
    ("np.array([True])", "int32", "output 'y' is bool, outputs says int32"),
    ("np.array([1])", "bool", "output 'y' is int64, outputs says bool"),
    ("['a']", "string", "a"),
    ("np.array(['é'], object)", "string", "é"),
    ("[b'a']", "string", "output 'y' holds bytes, outputs says string"),
    ("[1]", "string", "output 'y' holds int, outputs says string"),
    ("np.array([1 + 2j])", "float64", "output 'y' is complex128, outputs says float64"),
]


@pytest.mark.parametrize(("returned", "kind", "wanted"), CONVERSIONS)
def test_types_are_converted_only_where_nothing_but_precision_is_lost(
    tmp_path: Path, returned: str, kind: str, wanted: object
) -> None:
    source = f"import numpy as np\ndef process_data(input_data):\n    return {{'y': {returned}}}\n"
    with running(tmp_path, source, outputs=[{"name": "y", "type": kind}]) as model:
        try:
            found: object = model.run([np.ones(1, np.float32)])[0].tolist()[0]
        except ModelError as error:
            found = str(error)
    assert found == wanted


BOXES = """
import numpy as np
def process_data(input_data):
    (count,) = input_data["x"]
    return {"y": np.full((int(count), 4), count)}
"""


def run_rows(model: PythonModel, rows: Sequence[float]) -> Outcome:
    (outcome,) = execute(model, [Job({"x": np.array(rows, np.float32)}, len(rows))], 5.0)
    return outcome


def test_single_gives_each_row_a_value_of_its_own_length(tmp_path: Path) -> None:
    outputs = [{"name": "y", "type": "float32", "shape": [-1, 4]}]
    with running(tmp_path, BOXES, outputs=outputs, batch="single", workers=2) as model:
        ran = run_rows(model, [3, 1, 0, 2])
    assert isinstance(ran, Ran)
    assert [row.shape for row in ran.outputs["y"]] == [(3, 4), (1, 4), (0, 4), (2, 4)]


def test_ragged_rows_go_in_one_by_one(tmp_path: Path) -> None:
    source = """
        def process_data(input_data):
            return {"y": input_data["x"].sum(axis=1)}
    """
    fields = {"inputs": [{"name": "x", "type": "float32", "shape": [-1]}]}
    ragged = [np.ones(n, np.float32) for n in (2, 5, 1)]
    with running(tmp_path, source, **fields) as model:
        (ran,) = execute(model, [Job({"x": ragged}, 3)], 5.0)
    assert isinstance(ran, Ran)
    assert np.asarray(ran.outputs["y"]).tolist() == [2, 5, 1]


SLOW = """
import os, time
import numpy as np
def process_data(input_data):
    time.sleep(0.2)
    return {"y": np.array([os.getpid()], np.float64)}
"""


@pytest.mark.parametrize("how", ["rows of one request", "several requests"])
def test_what_is_in_flight_reaches_all_workers(tmp_path: Path, how: str) -> None:
    outputs = [{"name": "y", "type": "float64", "shape": [1]}]
    with running(tmp_path, SLOW, outputs=outputs, workers=3, batch="single") as model:
        rows = [np.ones(1, np.float32)] * 6

        def answered_by() -> set[float]:
            if how == "several requests":
                with ThreadPoolExecutor(6) as pool:
                    answers = list(pool.map(lambda row: model.run([row]), rows))
            else:
                answers = model.run_each([[row] for row in rows])
            return {float(answer[0].ravel()[0]) for answer in answers}

        await_that(lambda: len(answered_by()) == 3)  # the last ones may still load


def test_output_goes_to_the_log_in_bounded_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = """
        import sys
        def process_data(input_data):
            print("a line")
            sys.stderr.write("x" * 5000 + "\\nand another")
            return {"y": input_data["x"]}
    """
    with running(tmp_path, source) as model:
        ask(model, 1)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    said = {line["line"] for line in lines if line["message"] == "a Python model printed"}
    assert {"a line", "x" * 2000, "and another"} <= said


def test_nothing_of_our_environment_reaches_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    source = """
        import os
        def process_data(input_data):
            seen = [*sorted(os.environ), *sorted(os.listdir("."))]
            return {"y": [" ".join(seen)]}
    """
    with running(tmp_path, source, outputs=[{"name": "y", "type": "string"}]) as model:
        (seen,) = model.run([np.ones(1, np.float32)])
    assert "AWS" not in seen[0]
    assert "OMP_NUM_THREADS" in seen[0]


def test_workers_step_back_with_an_engine_that_was_told_to(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from python_models import ask, running
source = '''
import os
def process_data(input_data):
    return {{"y": input_data["x"] + os.getpriority(os.PRIO_PROCESS, 0)}}
'''
with running(Path({str(tmp_path)!r}), source) as model:
    print(ask(model, 0))
"""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run(
        ["nice", "-n", "3", sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(Path(python_models.__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"[{min(own + 3, 19):.1f}]\n", done.stderr
