"""Whatever one write meets, and whenever the operator dies: a Pipeline comes to the same.

The oracle is a run without a fault: the same objects with the same content, the same status, no
object twice, nothing of others written, and quiet at the end.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bikes import NAME
from cluster.plane import ControlPlane
from fault_runs import (
    FIRST,
    SECOND,
    Run,
    assert_nothing_of_others_was_written,
    assert_same,
    open_lanes,
    reach,
    simple,
)
from faultproxy import faults
from faultproxy.faults import Fault
from ground import QUIET_SECONDS, Ground
from lanes import run_cases
from snapshots import owned
from waiting import await_that

Object = dict[str, Any]

DEATHS: dict[str, Callable[[Ground], Fault]] = {
    "death before": lambda ground: faults.before(ground.kill),
    "death after": lambda ground: faults.after(ground.kill),
}
REFUSALS: dict[str, Fault] = {
    "409": faults.answer(409),
    "422": faults.answer(422),
    "429": faults.answer(429, retry_after=1),
    "500": faults.answer(500),
    "503": faults.answer(503),
    "504": faults.answer(504),
    "reset before": faults.reset_before,
    "reset after": faults.reset_after,
    "cut": faults.cut,
    "page": faults.page,
    "hang": faults.hang,
}


@dataclass(frozen=True)
class Case:
    """What goes wrong, and with which write."""

    fault: str
    write: int


@pytest.fixture(scope="module")
def lanes(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Ground]]:
    with open_lanes(control_plane, tmp_path_factory.mktemp) as lanes:
        yield lanes


def assert_reached(lane: Ground, case: Case, document: Object, expected: Run) -> None:
    """Apply a Pipeline, let something go wrong, and compare what it comes to."""
    starts = lane.starts
    deadly = case.fault in DEATHS
    fault = DEATHS[case.fault](lane) if deadly else REFUSALS[case.fault]
    lane.proxy.at_write(case.write, fault)
    found = reach(lane, document)
    if lane.proxy.pending:
        # How often the status changes while pods get ready is a matter of time; all else is not.
        left = expected.writes[case.write - 1 :]
        assert all("/status" in one for one in left), f"there was no such write: {found.writes}"
        deadly = False
    assert lane.starts - starts == deadly, f"it ended {lane.starts - starts} times: {found.writes}"
    assert_same(expected.result, found.result)


def everywhere(kinds: Sequence[str], run: Run) -> list[Case]:
    """Each fault at each write that a run without a fault makes."""
    return [Case(kind, number + 1) for number in range(len(run.writes)) for kind in kinds]


def somewhere(kinds: Sequence[str], run: Run) -> list[Case]:
    """Each fault at one write, all of them spread over the run."""
    count = len(run.writes)
    return [Case(kind, number * count // len(kinds) + 1) for number, kind in enumerate(kinds)]


Choose = Callable[[Run], list[Case]]


def make_with(lanes: list[Ground], choose: Choose) -> None:
    """Make a Pipeline once without and then with each fault."""
    for lane in lanes:
        lane.forget(NAME)
    expected = reach(lanes[0], FIRST)
    lanes[0].forget(NAME)

    def one(lane: Ground, case: Case) -> None:
        assert_reached(lane, case, FIRST, expected)
        lane.forget(NAME)

    assert run_cases(lanes, choose(expected), one) == {}, "\n".join(expected.writes)
    for lane in lanes:
        assert_nothing_of_others_was_written(lane)


def change_with(lanes: list[Ground], choose: Choose, other: Object = SECOND) -> None:
    """Change a Pipeline back and forth, once without and then with each fault."""
    for lane in lanes:
        lane.forget(NAME)
        lane.kubectl.apply(FIRST)
    for lane in lanes:
        lane.settle(NAME)
    results: list[Run] = []
    for state in (other, FIRST):
        lanes[0].proxy.forget()
        results.append(reach(lanes[0], state))
    in_second = {id(lane): False for lane in lanes}

    def one(lane: Ground, case: Case) -> None:
        back = in_second[id(lane)]
        in_second[id(lane)] = not back
        assert_reached(lane, case, FIRST if back else other, results[back])

    assert run_cases(lanes, choose(results[0]), one) == {}, "\n".join(results[0].writes)


@pytest.mark.timeout(1200)
def test_a_pipeline_is_made_whenever_the_operator_dies(lanes: list[Ground]) -> None:
    make_with(lanes, lambda run: everywhere(list(DEATHS), run))


@pytest.mark.timeout(1200)
def test_a_pipeline_is_changed_whenever_the_operator_dies(lanes: list[Ground]) -> None:
    change_with(lanes, lambda run: everywhere(list(DEATHS), run))


@pytest.mark.timeout(600)
def test_a_pipeline_is_made_though_a_write_goes_wrong(lanes: list[Ground]) -> None:
    make_with(lanes, lambda run: somewhere(list(REFUSALS), run))


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_a_pipeline_is_made_whatever_any_write_meets(lanes: list[Ground]) -> None:
    make_with(lanes, lambda run: everywhere(list(REFUSALS), run))


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_a_pipeline_is_changed_whatever_any_write_meets(lanes: list[Ground]) -> None:
    change_with(lanes, lambda run: everywhere(list(REFUSALS), run))


WORKLOADS: dict[str, Object] = {
    "weights": simple(weights=(1, 3)),
    "scale": simple(replicas=2),
}


@pytest.mark.full
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.timeout(3600)
def test_weights_and_numbers_of_pods_change_whenever_the_operator_dies(
    lanes: list[Ground], workload: str
) -> None:
    change_with(lanes, lambda run: everywhere(list(DEATHS), run), WORKLOADS[workload])


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_pipeline_goes_whole_whenever_the_operator_dies(lanes: list[Ground]) -> None:
    for lane in lanes:
        lane.forget(NAME)

    def one(lane: Ground, pause: float) -> None:
        reach(lane, FIRST)
        lane.kubectl("delete", "pipeline", NAME, "--wait=false")
        time.sleep(pause)
        lane.kill()
        await_that(lambda: not owned(lane.kubectl, NAME), 60)
        lane.operator.await_work()
        before = len(lane.proxy.writes)
        time.sleep(QUIET_SECONDS)
        assert [str(write) for write in lane.proxy.writes[before:]] == []
        assert owned(lane.kubectl, NAME) == []

    assert run_cases(lanes, (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6), one) == {}
