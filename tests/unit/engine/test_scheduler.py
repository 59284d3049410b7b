from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import graphs
from planes import Turns, opened, shadow
from tiltyard_engine.call import Call
from tiltyard_engine.dataplane import DEAR_SECONDS, INLINE_SECONDS, Dataplane
from tiltyard_engine.scheduler import TURN_SECONDS, Scheduler
from tiltyard_engine.sessions import DEAR, Cost


class CountedTurns(Turns):
    """Knows how many callbacks were put off by the loop's own thread."""

    soon = 0

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        self.soon += 1
        super().call_soon(callback, *arguments)

    call_soon_threadsafe = Turns.call_soon


@dataclass
class Bench:
    """A scheduler whose only model costs what a test says."""

    plane: Dataplane
    scheduler: Scheduler
    turns: CountedTurns
    done: list[Call] = field(default_factory=list)

    def submit(self, call: Call) -> None:
        self.scheduler.submit(self.plane, call, self.done.append)


@contextmanager
def bench(folder: Path, cost: Cost, data: bytes | None = None) -> Iterator[Bench]:
    with opened(folder, {"a": data or graphs.row_sums()}) as opened_plane:
        session = opened_plane.sessions["a"]
        session.cost = cost
        plane = Dataplane(
            opened_plane.plan, opened_plane.table, opened_plane.sessions, lambda _: {}
        )
        turns = CountedTurns()
        scheduler = Scheduler(turns, opened_plane.context, 2)
        try:
            yield Bench(plane, scheduler, turns)
        finally:
            scheduler.close()


def call_of(rows: int = 1, name: str = "") -> Call:
    return Call(rows, {"x": np.ones((rows, 2), np.float32)}, {}, {}, inference_id=name)


def ragged(rows: int) -> Call:
    lists = [np.ones(1 + row % 2, np.float32) for row in range(rows)]
    return Call(rows, {"x": lists}, {}, {})


CHEAP = Cost(INLINE_SECONDS / 10, 0)


@pytest.mark.parametrize(
    ("cost", "call", "inline"),
    [
        (Cost(INLINE_SECONDS / 2, 0), call_of(), True),
        (Cost(INLINE_SECONDS * 2, 0), call_of(), False),
        (Cost(0, INLINE_SECONDS / 10), call_of(5), True),
        (Cost(0, INLINE_SECONDS / 10), call_of(20), False),
        (CHEAP, call_of(20), True),
        (CHEAP, ragged(20), False),
        (DEAR, call_of(), False),
    ],
    ids=["cheap", "dear", "few rows", "many rows", "rows cost nothing", "row by row", "never"],
)
def test_a_call_runs_in_the_loop_only_if_it_costs_less_than_a_hand_over(
    tmp_path: Path, cost: Cost, call: Call, *, inline: bool
) -> None:
    with bench(tmp_path, cost) as one:
        one.submit(call)
        assert one.turns.soon == int(inline)
        one.turns.until(lambda: bool(one.done))
        assert one.done == [call]
        assert len(call.outputs["run-a"]["y"]) == call.rows


def test_calls_that_wait_for_challengers_never_run_in_the_loop(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    with opened(tmp_path, models, [shadow("a", "b", outputs="respond")]) as plane:
        assert plane.served.plane.seconds(call_of()) == DEAR_SECONDS > INLINE_SECONDS


def test_what_one_turn_decoded_runs_together_in_order_once_each(tmp_path: Path) -> None:
    with bench(tmp_path, CHEAP) as one:
        calls = [call_of(name=str(n)) for n in range(50)]
        for call in calls:
            one.submit(call)
        assert one.turns.soon == 1
        one.turns.until(lambda: len(one.done) == 50)
        one.turns.idle()
        assert [call.inference_id for call in one.done] == [str(n) for n in range(50)]
        assert one.turns.soon == 1
        (took,) = {run.seconds for call in one.done for run in call.runs}
        assert took > 0


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_a_turn_ends_after_its_time_so_that_others_are_read(tmp_path: Path, share: float) -> None:
    with bench(tmp_path, Cost(INLINE_SECONDS * share, 0)) as one:
        for n in range(500):
            one.submit(call_of(name=str(n)))
        turns = []
        while len(one.done) < 500:
            before = len(one.done)
            one.turns.until(lambda: len(one.done) > before)  # noqa: B023 - used at once
            turns.append(len(one.done) - before)
        most = TURN_SECONDS / (INLINE_SECONDS * share) + 2
        assert max(turns) <= most
        assert [call.inference_id for call in one.done] == [str(n) for n in range(500)]


def test_cheap_calls_in_front_do_not_let_dear_ones_hold_the_turn(tmp_path: Path) -> None:
    with bench(tmp_path, Cost(0, INLINE_SECONDS / 100)) as one:
        for call in [call_of(1), *(call_of(99) for _ in range(100))]:
            one.submit(call)
        one.turns.until(lambda: bool(one.done))
        assert len(one.done) <= TURN_SECONDS / (INLINE_SECONDS * 0.99) + 2


def test_dear_calls_are_answered_once_each_whatever_threads_do(tmp_path: Path) -> None:
    with bench(tmp_path, Cost(INLINE_SECONDS * 2, 0)) as one:
        calls = [call_of(name=str(n)) for n in range(300)]
        for call in calls:
            one.submit(call)
        one.turns.until(lambda: len(one.done) == 300)
        one.turns.idle()
        assert sorted(int(call.inference_id) for call in one.done) == list(range(300))
        assert all("run-a" in call.outputs for call in calls)


@pytest.mark.parametrize("cost", [CHEAP, DEAR], ids=["in the loop", "in a thread"])
def test_a_fault_of_ours_is_an_answer_too(
    tmp_path: Path, cost: Cost, capfd: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path, cost) as one:
        broken = Call(1, {}, {}, {})
        one.submit(broken)
        one.turns.until(lambda: bool(one.done))
        assert broken.refusal
        assert (broken.refusal.status, broken.refusal.reason) == (500, "ModelFailed")
        assert "KeyError" not in broken.refusal.message
    assert "KeyError" in capfd.readouterr().err


@pytest.mark.parametrize("cost", [CHEAP, DEAR], ids=["in the loop", "in a thread"])
def test_a_fault_with_one_answer_leaves_nobody_else_waiting(
    tmp_path: Path, cost: Cost, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_call: Call) -> None:
        raise KeyError("of one answer")

    with bench(tmp_path, cost) as one:
        calls = [call_of(name=str(number)) for number in range(6)]
        for number, call in enumerate(calls):
            done = fail if number % 2 else one.done.append
            one.scheduler.submit(one.plane, call, done)
        one.turns.until(lambda: len(one.done) == 3)
        assert sorted(call.inference_id for call in one.done) == ["0", "2", "4"]
    assert "of one answer" in capsys.readouterr().err
