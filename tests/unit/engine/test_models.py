import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import graphs
from planes import compiled, opened
from tiltyard_engine.dataplane import INLINE_SECONDS
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job, Ran, execute
from tiltyard_engine.sessions import DEAR, ModelError, ModelTimeoutError, Session, made_up

ENDLESS = [np.full((1, 1), 2e6, np.float32)]


def session_of(folder: Path, data: bytes) -> Session:
    plan, _, store = compiled(folder, {"a": data})
    return Session(plan.models[0], store / plan.models[0].digest)


@pytest.mark.parametrize(
    ("name", "batchable"),
    [
        ("linear", True),
        ("mlp", True),
        ("several inputs", True),
        ("image", True),
        ("row sums", True),
        ("quantised", False),
        ("one row", False),
        ("detector", False),
        ("branching", False),
        ("wrong rows", False),
    ],
)
def test_requests_are_stacked_only_where_rows_do_not_meet(
    tmp_path: Path, name: str, *, batchable: bool
) -> None:
    session = session_of(tmp_path, graphs.BY_NAME[name])
    session.learn()
    assert session.batchable is batchable


def test_one_nan_is_like_another_whatever_its_bits(tmp_path: Path) -> None:
    session = session_of(tmp_path, graphs.never_a_number())
    session.learn()
    assert session.batchable


@pytest.mark.parametrize("name", ["endless", "branching", "running sum"])
def test_graphs_whose_time_depends_on_the_data_never_run_in_the_event_loop(
    tmp_path: Path, name: str
) -> None:
    session = session_of(tmp_path, graphs.BY_NAME[name])
    assert session.cost is DEAR
    session.learn()
    assert session.cost is DEAR


def test_a_model_that_fails_on_made_up_rows_is_served_off_the_event_loop(tmp_path: Path) -> None:
    entries = {"a": {"inputs": [{"name": "x", "type": "float32", "shape": [3]}]}}
    with opened(tmp_path, {"a": graphs.row_sums()}, entries=entries) as plane:
        assert plane.sessions["a"].cost is not DEAR
        assert plane.ask([{"x": [1, 2, 3]}]).out() == [[6.0]]


def test_a_model_of_one_row_costs_as_often_as_it_runs(tmp_path: Path) -> None:
    with opened(tmp_path, {"a": graphs.one_row()}) as plane:
        cost = plane.sessions["a"].cost
    assert cost.of(1000) == pytest.approx(1000 * cost.of(1))
    assert cost.of(1000) > INLINE_SECONDS


@pytest.mark.parametrize("name", ["linear", "mlp", "quantised", "image", "one row", "logarithm"])
def test_more_rows_never_cost_less(tmp_path: Path, name: str) -> None:
    session = session_of(tmp_path, graphs.BY_NAME[name])
    session.learn()
    costs = [session.cost.of(rows) for rows in (1, 2, 10, 1000, 65536)]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_a_loop_that_never_ends_is_ended_and_the_session_still_works(tmp_path: Path) -> None:
    session = session_of(tmp_path, graphs.endless())
    for _ in range(2):
        with pytest.raises(ModelTimeoutError, match=r"took longer than 0\.05 s"):
            session.run(ENDLESS, timeout=0.05)
        assert session.run([np.ones((1, 1), np.float32)], timeout=5)[0].tolist() == [[1]]


def test_only_the_call_that_is_late_is_ended(tmp_path: Path) -> None:
    session = session_of(tmp_path, graphs.endless())
    ended: list[bool] = []

    def run() -> None:
        with pytest.raises(ModelTimeoutError):
            session.run(ENDLESS, timeout=0.3)
        ended.append(True)

    late = threading.Thread(target=run)
    late.start()
    while late.is_alive():
        assert session.run([np.ones((2, 1), np.float32)], timeout=5)[0].shape == (2, 1)
    assert ended == [True]


FORKED = """
import os, sys
from pathlib import Path
from planes import compiled
from test_models import ENDLESS, Session
from tiltyard_engine.sessions import ModelTimeoutError
import graphs, numpy, signal
folder = Path(sys.argv[1])
plan, _, store = compiled(folder, {"a": graphs.endless()})
session = Session(plan.models[0], store / plan.models[0].digest)
session.learn()
pid = os.fork()
if not pid:
    signal.alarm(20)
    session.after_fork()
    try:
        session.run(ENDLESS, timeout=0.1)
    except ModelTimeoutError:
        os._exit(7)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_timeouts_hold_in_a_forked_worker(tmp_path: Path) -> None:
    here = Path(__file__).parent
    path = {"PYTHONPATH": f"{here}:{here.parents[1] / 'support'}"}
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]
    assert subprocess.run(command, env=path, check=False, timeout=60).returncode == 7


def test_what_the_runtime_says_is_one_line_and_names_no_file_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        session_of(tmp_path, graphs.linear()).run([np.ones((1, 3), np.float32)])
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "width", "words"),
    [
        (graphs.wrong_rows("K"), 2, "gave 'y' of shape [4, 2] for 2 rows: set batch: single"),
        (graphs.wrong_rows("K"), None, "gave 'y' of shape [2, 1] for 1 rows: set batch: single"),
    ],
    ids=["rows together", "ragged rows one by one"],
)
def test_outputs_that_are_not_one_a_row_are_refused(
    tmp_path: Path, data: bytes, width: int | None, words: str
) -> None:
    with opened(tmp_path, {"a": data}) as plane:
        rows = [{"x": [1.0] * (width or n)} for n in (1, 2)]
        answer = plane.ask(rows)
    assert (answer.status, answer.json["reason"]) == (500, "ModelFailed")
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    "bad", [[{"x": 99}], [{"x": 0}, {"x": -99}], [{"x": 1}] * 30 + [{"x": 3}]], ids=len
)
def test_one_bad_request_in_a_stack_refuses_only_itself(
    tmp_path: Path, bad: list[dict[str, int]]
) -> None:
    with opened(tmp_path, {"a": graphs.picky()}) as plane:
        assert plane.sessions["a"].batchable
        answers = plane.ask_all([[{"x": 0}], [{"x": 1}, {"x": 2}], bad, [{"x": 2}]])
    assert [answer.status for answer in answers] == [200, 200, 500, 200]
    assert [answers[n].out() for n in (0, 1, 3)] == [[0.5], [1.5, 2.5], [2.5]]
    assert "step 'run-a': model 'a' failed" in answers[2].json["error"]


@pytest.mark.parametrize("name", ["linear", "mlp", "image", "several inputs", "row sums"])
@pytest.mark.parametrize("sizes", [[1, 1], [1] * 7, [3, 1, 5], [64, 1, 2, 33], [1] * 100], ids=str)
def test_stacked_answers_have_the_bits_of_answers_alone(
    tmp_path: Path, name: str, sizes: list[int]
) -> None:
    session = session_of(tmp_path, graphs.BY_NAME[name])
    session.learn()
    assert session.batchable
    names = [tensor.name for tensor in session.model.inputs]
    jobs = [Job(dict(zip(names, made_up(session.model, n), strict=True)), n) for n in sizes]
    for job, stacked in zip(jobs, execute(session, jobs, None), strict=True):
        (alone,) = execute(session, [job], None)
        assert isinstance(stacked, Ran)
        assert isinstance(alone, Ran)
        for output, column in alone.outputs.items():
            one, other = np.asarray(column), np.asarray(stacked.outputs[output])
            assert one.shape == other.shape
            assert one.tolist() == other.tolist()
            assert one.dtype == object or one.tobytes() == other.tobytes()


def test_rows_of_one_request_share_one_deadline(tmp_path: Path) -> None:
    entries = {"a": {"batch": "single"}}
    plan, _, store = compiled(tmp_path, {"a": graphs.scaled(1)}, entries=entries)
    session = Session(plan.models[0], store / plan.models[0].digest)
    job = Job({"x": np.ones((200_000, 1), np.float32)}, 200_000)
    (outcome,) = execute(session, [job], 0.05)
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "ModelTimeout"


def test_a_chain_maps_outputs_to_inputs_of_other_names(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.identity(names="p q"), "c": graphs.scaled(3)}
    steps = [
        {"name": "first", "model": "a", "inputs": {"x": "request.in"}},
        {"name": "second", "model": "b", "inputs": {"p": "first.y"}},
        {"name": "third", "model": "c", "inputs": {"x": "second.q"}},
    ]
    with opened(tmp_path, models, steps) as plane:
        answers = plane.ask_all([[{"in": n}, {"in": -n}] for n in range(5)])
        assert [a.out() for a in answers] == [[[6.0 * n], [-6.0 * n]] for n in range(5)]
        assert set(answers[0].json[0]["out"]) == {"y"}


def test_ragged_outputs_of_a_step_go_into_the_next_row_by_row(tmp_path: Path) -> None:
    models = {"a": graphs.detector(), "b": graphs.row_sums()}
    steps = [
        {"name": "find", "model": "a"},
        {"name": "sum", "model": "b", "inputs": {"x": "find.boxes"}},
    ]
    with opened(tmp_path, models, steps) as plane:
        answer = plane.ask([{"x": [1, -1, 2, 0]}, {"x": [1, 2, 3, 4]}])
    assert answer.out() == [[3.0], [10.0]]


def test_a_timeout_is_told_with_step_and_model(tmp_path: Path) -> None:
    entries = {"a": {"timeout": "50ms"}}
    with opened(tmp_path, {"a": graphs.endless()}, entries=entries) as plane:
        late, fine = plane.ask_all([[{"x": 2e6}], [{"x": 3}]])
        assert (late.status, late.json["reason"]) == (504, "ModelTimeout")
        assert "step 'run-a': model 'a' took longer than 0.05 s" in late.json["error"]
        assert fine.out() == [[3.0]]
        errors = ("run-a", "a", "ModelTimeout")
        assert plane.count("tiltyard_variant_errors_total", *errors) == 1


THREADS = """
import os, sys
from pathlib import Path
from tiltyard_engine.sessions import signature
before = len(os.listdir("/proc/self/task"))
signature(Path(sys.argv[1]))
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_loading_a_model_starts_no_thread_that_reports_to_anybody(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.mlp())
    command = [sys.executable, "-c", THREADS, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n", done.stderr
