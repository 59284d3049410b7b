"""What an operator missed while it, its watches or the API server were away, it makes up for."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from beside import again_and_again
from bikes import NAME
from cluster.api import MERGE
from cluster.plane import ControlPlane
from fault_runs import FIRST, SECOND, assert_same, open_lanes, reach, rest
from faultproxy import faults, watches
from faultproxy.exchange import Asked
from ground import Ground, ground
from lanes import run_cases
from manifests import bike_record
from pods import engines
from snapshots import owned
from waiting import await_that

Object = dict[str, Any]

CI_SECONDS, FULL_SECONDS = 90.0, 600.0
LENGTHS = [
    pytest.param(CI_SECONDS, id="90s"),
    pytest.param(FULL_SECONDS, id="600s", marks=pytest.mark.full),
]

pytestmark = pytest.mark.timeout(300)  # with the rollout before each, on a busy machine

WATCHED = ("pipelines", "configmaps", "deployments", "services", "jobs", "pods")


@pytest.fixture
def operated(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Ground]:
    """A ground with an operator that serves the first Pipeline."""
    with ground(control_plane, f"out-{secrets.token_hex(4)}", tmp_path / "ground") as operated:
        reach(operated, FIRST)
        yield operated


def delete(operated: Ground, kind: str, name: str) -> None:
    operated.kubectl("delete", kind, name, "--wait=false")


@contextmanager
def asked_all_the_time(operated: Ground) -> Iterator[list[str]]:
    """Ask the engine all the time; gives what went wrong."""
    (pod,) = engines(operated.kubectl)
    url = f"http://{pod['status']['podIP']}:8080/pipelines/{NAME}"
    wrong: list[str] = []

    def ask() -> None:
        try:
            answer = pool.request("POST", url, json=[bike_record()], timeout=20)
            if answer.status != 200:
                wrong.append(answer.data.decode())
        except urllib3.exceptions.HTTPError as error:
            wrong.append(str(error))

    with urllib3.PoolManager(retries=False) as pool, again_and_again(ask, 0.1):
        yield wrong


@pytest.mark.parametrize("seconds", LENGTHS)
@pytest.mark.timeout(900)
def test_an_api_server_that_fails_for_long_costs_nobody_an_answer(
    operated: Ground, seconds: float
) -> None:
    with asked_all_the_time(operated) as wrong:
        operated.proxy.fault = lambda _: faults.answer(503)
        delete(operated, "service", NAME)
        time.sleep(seconds)
        assert operated.operator.running
        operated.proxy.forget()
        await_that(lambda: "Service" in {one["kind"] for one in kinds(operated)}, 60)
    assert wrong == []


def kinds(operated: Ground) -> list[Object]:
    return owned(operated.kubectl, NAME)


@pytest.mark.parametrize("seconds", LENGTHS)
@pytest.mark.timeout(900)
def test_a_frozen_watch_is_noticed(operated: Ground, seconds: float) -> None:
    operated.proxy.spoiler = watches.freezing
    operated.kubectl("annotate", "pipeline", NAME, "frozen=yes")  # the event that freezes
    operated.kubectl("annotate", "deployment", NAME, "frozen=yes")
    began = time.monotonic()
    operated.kubectl.apply(SECOND)
    delete(operated, "service", NAME)
    await_that(lambda: observed(operated) == generation(operated), 80)
    operated.proxy.forget()
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    await_that(lambda: "Service" in {one["kind"] for one in kinds(operated)}, 80)


def observed(operated: Ground) -> int:
    return int(operated.pipeline(NAME)["status"]["observedGeneration"])


def generation(operated: Ground) -> int:
    return int(operated.pipeline(NAME)["metadata"]["generation"])


def every_third() -> Callable[[Asked, Object], bool]:
    """Choose every third event of whatever kind."""
    count = 0

    def which(asked: Asked, _: Object) -> bool:
        nonlocal count
        count += asked.plural != "leases"
        return count % 3 == 0

    return which


@pytest.mark.timeout(600)
def test_events_that_never_come_are_made_up_for(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"TILTYARD_RESYNC_SECONDS": "5"}
    with open_lanes(control_plane, tmp_path_factory.mktemp, **settings) as lanes:
        expected = reach(lanes[0], FIRST).result
        lanes[0].forget(NAME)

        def run(lane: Ground, lost: str) -> None:
            which = (
                every_third() if lost == "every third" else lambda asked, _: asked.plural == lost
            )
            lane.proxy.spoiler = watches.dropping(which)
            assert_same(expected, reach(lane, FIRST).result)
            lane.forget(NAME)

        assert run_cases(lanes, (*WATCHED, "every third"), run) == {}


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_each_single_event_may_get_lost(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"TILTYARD_RESYNC_SECONDS": "5"}
    with open_lanes(control_plane, tmp_path_factory.mktemp, **settings) as lanes:
        events: list[str] = []
        lanes[0].proxy.spoiler = watches.dropping(only(-1, events))
        expected = reach(lanes[0], FIRST).result
        lanes[0].forget(NAME)

        def run(lane: Ground, number: int) -> None:
            lane.proxy.spoiler = watches.dropping(only(number, []))
            assert_same(expected, reach(lane, FIRST).result)
            lane.forget(NAME)

        assert run_cases(lanes, range(len(events)), run) == {}, "\n".join(events)


def only(number: int, seen: list[str]) -> Callable[[Asked, Object], bool]:
    """Choose one event, counted from 0 over all kinds; notes which there were."""

    def which(asked: Asked, event: Object) -> bool:
        if asked.plural == "leases" or event["type"] == "BOOKMARK":
            return False
        seen.append(f"{event['type']} {asked.plural}/{event['object']['metadata']['name']}")
        return len(seen) - 1 == number

    return which


def test_what_happened_in_a_gap_of_the_watches_is_found(operated: Ground) -> None:
    other = FIRST | {"metadata": {"name": "other"}}
    operated.kubectl.apply(other)
    operated.settle("other")
    expected = rest(operated).result
    operated.proxy.fault = lambda asked: (
        faults.answer(503) if asked.writes or asked.watches else faults.forward
    )
    for plural in WATCHED:
        operated.proxy.end_watches(plural)
    delete(operated, "service", NAME)
    operated.kubectl("delete", "pipeline", "other")
    await_that(lambda: not owned(operated.kubectl, "other"), 60)
    operated.proxy.forget()
    await_that(lambda: "Service" in {one["kind"] for one in kinds(operated)}, 60)
    assert_same(expected, rest(operated).result)
    assert not [write for write in operated.proxy.writes if write.asked.name.startswith("other")]


def test_what_happened_while_the_operator_was_down_is_made_up_for(operated: Ground) -> None:
    before = operated.pipeline(NAME)["metadata"]["uid"]
    expected = rest(operated).result
    operated.down()
    operated.kubectl.apply(SECOND)
    delete(operated, "service", NAME)
    operated.kubectl("delete", "pipeline", NAME, "--timeout=120s")  # nothing of ours holds it
    operated.kubectl.apply(SECOND)
    operated.kubectl.apply(FIRST)
    operated.up()
    found = rest(operated).result
    assert operated.pipeline(NAME)["metadata"]["uid"] != before
    assert_same(expected, found)


def test_a_change_that_is_taken_back_at_any_moment_leaves_no_trace(operated: Ground) -> None:
    expected = rest(operated).result
    for pause in (0.0, 0.3, 1.0, 2.5, 5.0):
        operated.kubectl.apply(SECOND)
        time.sleep(pause)
        operated.kubectl.apply(FIRST)
        found = rest(operated).result
        assert_same(expected, found)


@pytest.mark.parametrize("how", ["background", "foreground", "orphan"])
def test_deletion_of_every_kind_ends(operated: Ground, how: str) -> None:
    operated.kubectl("delete", "pipeline", NAME, f"--cascade={how}", "--timeout=120s")
    if how == "orphan":
        left = {one["metadata"]["name"] for one in kinds(operated)}
        time.sleep(3)
        assert {one["metadata"]["name"] for one in kinds(operated)} == left
        return
    await_that(lambda: not kinds(operated), 60)


def test_a_namespace_can_be_deleted_in_the_middle_of_things(operated: Ground) -> None:
    operated.kubectl.apply(SECOND)
    operated.kubectl("delete", "namespace", operated.kubectl.namespace, "--timeout=120s")


@pytest.mark.parametrize(
    "times", [pytest.param(10, id="10"), pytest.param(50, id="50", marks=pytest.mark.full)]
)
@pytest.mark.timeout(400)
def test_a_pipeline_that_comes_and_goes_leaves_one_set_of_children(
    operated: Ground, times: int
) -> None:
    expected = rest(operated).result
    for _ in range(times):
        operated.kubectl("delete", "pipeline", NAME)
        operated.kubectl.apply(FIRST)
        time.sleep(secrets.randbelow(1000) / 1000)
    assert_same(expected, rest(operated).result)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_twenty_deaths_at_any_moment_change_nothing(operated: Ground) -> None:
    states = (FIRST, SECOND)
    expected = [reach(operated, state).result for state in (FIRST, SECOND, FIRST)]
    for number in range(20):
        operated.kubectl.apply(states[number % 2])
        time.sleep(secrets.randbelow(6000) / 1000)
        operated.kill()
    found = reach(operated, FIRST).result
    assert_same(expected[2], found)


def test_a_quota_is_told_of_and_its_end_is_noticed(operated: Ground) -> None:
    namespace = operated.kubectl.namespace
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/services": "0"}}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    operated.api.call("POST", path, quota)
    await_that(lambda: operated.api.call("GET", f"{path}/none").get("status", {}).get("hard"))
    delete(operated, "service", NAME)
    operated.kubectl("wait", "--for=condition=Stalled", f"pipeline/{NAME}", "--timeout=120s")
    said = operated.kubectl("get", "pipeline", NAME, "--output=jsonpath={.status.conditions}")
    assert "exceeded quota: none" in said
    delete(operated, "poddisruptionbudget", NAME)
    await_that(lambda: "PodDisruptionBudget" in {one["kind"] for one in kinds(operated)})
    operated.api.call("PATCH", f"{path}/none", {"spec": {"hard": {"count/services": "5"}}}, MERGE)
    operated.kubectl("wait", "--for=condition=Ready", f"pipeline/{NAME}", "--timeout=120s")
    assert "Service" in {one["kind"] for one in kinds(operated)}


def test_an_api_server_that_hangs_does_not_hang_the_operator(operated: Ground) -> None:
    operated.proxy.fault = lambda asked: faults.forward if asked.watches else faults.hang
    delete(operated, "service", NAME)
    for _ in range(10):
        time.sleep(2)
        assert operated.operator.ask("/livez") == "ok\n"
    operated.proxy.forget()
    await_that(lambda: "Service" in {one["kind"] for one in kinds(operated)}, 60)
