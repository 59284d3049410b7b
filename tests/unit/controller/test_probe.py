"""Pods are asked all at once, each within bounds; who is silent is silent since a time."""

import json
import os
import time
from typing import Any

import pytest

from operators import cluster_at
from silent import hang, ill_behaved, stressed, trickle
from tiltyard_api.names import MANAGEMENT_PORT
from tiltyard_operator.probe import FORGOTTEN_AFTER, Prober, by_way_of, directly

Pod = dict[str, Any]
NETWORK = f"127.1.{61 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"
"""Addresses of this test process alone: pods answer on a port that is always the same."""

STATUS = {"plan": "abc", "routing": {"revision": 7}}
SAID = (200, {}, json.dumps(STATUS).encode())


def pod(name: str, address: str | None) -> Pod:
    head = {"namespace": "shop", "name": name, "uid": f"uid-{name}"}
    return {"metadata": head, "status": {"podIP": address} if address else {}}


def test_pods_say_what_they_serve() -> None:
    with stressed(SAID, address=(f"{NETWORK}.1", MANAGEMENT_PORT)) as server:
        said = Prober(directly()).ask(
            [pod("a", f"{NETWORK}.1"), pod("b", f"{NETWORK}.2"), pod("c", None)]
        )
    assert said["a"].status == STATUS
    assert said["a"].silent_since is None
    assert "refused" in said["b"].fault
    assert "no address" in said["c"].fault
    assert server.asked == [("GET", "")]


@pytest.mark.parametrize(
    "answer",
    [
        (503, {}, b"{}"),
        (200, {}, b"[]"),
        (200, {}, b"<html>"),
        (200, {"Content-Length": "100"}, b"{"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
)
def test_what_is_no_status_is_silence(answer: tuple[int, dict[str, str], bytes]) -> None:
    with stressed(answer, address=(f"{NETWORK}.3", MANAGEMENT_PORT)):
        said = Prober(directly()).ask([pod("a", f"{NETWORK}.3")])["a"]
    assert said.status is None
    assert said.silent_since is not None
    assert said.fault


@pytest.mark.parametrize("behave", [hang, trickle], ids=lambda one: one.__name__)
def test_many_that_do_not_answer_take_no_longer_than_one(behave: Any) -> None:
    with ill_behaved(behave, (f"{NETWORK}.4", MANAGEMENT_PORT)):
        prober = Prober(directly())
        started = time.monotonic()
        said = prober.ask([pod(str(number), f"{NETWORK}.4") for number in range(20)])
        assert time.monotonic() - started < 15, "one after the other take twenty"
    assert len(said) == 20
    assert all(one.silent_since for one in said.values())


def test_silence_begins_with_the_first_question_without_an_answer() -> None:
    now, speaks = [100.0], [True]

    def ask(_: Pod) -> Pod:
        if not speaks[0]:
            raise TimeoutError
        return STATUS

    def since() -> float | None:
        return prober.ask([pod("a", None)])["a"].silent_since

    prober = Prober(ask, lambda: now[0])
    assert since() is None
    speaks[0] = False
    for now[0] in (101.0, 103.0, 150.0):
        assert since() == 101
    speaks[0] = True
    assert since() is None
    speaks[0] = False
    now[0] = 200.0
    assert since() == 200
    now[0] += FORGOTTEN_AFTER + 1
    prober.ask([pod("b", None)])
    assert set(prober._silent) == {"uid-b"}


def test_pods_can_be_asked_by_way_of_the_api_server() -> None:
    with stressed(SAID) as server:
        prober = Prober(by_way_of(cluster_at(server.url)))
        assert prober.ask([pod("a", None)])["a"].status == STATUS
    with stressed((503, {}, b"no endpoints")) as server:
        prober = Prober(by_way_of(cluster_at(server.url)))
        assert prober.ask([pod("a", None)])["a"].silent_since is not None
