"""Weights change under traffic on a real node: soon in force everywhere, and told truthfully."""

import time
from typing import Any

import pytest

from bikes import NAME, await_ready, condition
from cluster.node.network import cut_off
from cluster.plane import ControlPlane
from kubectl import Kubectl
from pods import ROLLS_SECONDS, bikes_from, engines
from switches import GENEROUS, TURNS, asked, insist_on_calm, switch, watched
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

CHANGES = 50
PAUSE = 0.004
"""Between an answer of a pod and its next question: 500 a second of three pods, or nearly so."""


def weighed(models: str, weights: tuple[float, float]) -> Object:
    """Give a Pipeline of three pods."""
    return bikes_from(models, weights, replicas=3)


def test_fifty_changes_fail_no_request_and_no_status_lies(kubectl: Kubectl, models: str) -> None:
    kubectl.apply(weighed(models, (1, 0)))
    await_ready(kubectl, ROLLS_SECONDS)
    before, began = engines(kubectl), time.monotonic()
    took: list[float] = []
    with asked(before, PAUSE) as pods, watched(kubectl) as lies:
        for number in range(CHANGES):
            weights, variant = TURNS[number % 2]
            took += switch(kubectl, weighed(models, weights), variant, pods)
    rate = sum(len(pod.answers) for pod in pods) / (time.monotonic() - began)
    took.sort()
    told = {share: f"{took[int(len(took) * share)]:.2f} s" for share in (0.5, 0.9, 0.99)}
    print(f"{CHANGES} changes at {rate:.0f} requests a second: {told}, all {took[-1]:.2f} s")  # noqa: T201 - shown by -rP
    assert lies == []
    insist_on_calm(kubectl, before, pods)


def test_a_pod_that_is_cut_off_is_named_while_the_others_switch(
    kubectl: Kubectl, models: str, node_plane: ControlPlane
) -> None:
    kubectl.apply(weighed(models, (1, 0)))
    await_ready(kubectl, ROLLS_SECONDS)
    before = engines(kubectl)
    deaf = before[0]["metadata"]["name"]
    with asked(before, PAUSE) as pods, watched(kubectl) as lies:
        with cut_off(before[0]["status"]["podIP"], node_plane.port):
            began = time.monotonic()
            kubectl.apply(weighed(models, (0, 1)))
            others = [pod for pod in pods if pod.name != deaf]
            await_that(lambda: all(pod.switched("rf", began) is not None for pod in others))

            def named() -> bool:
                return kubectl.get("typ", NAME)["status"]["routing"].get("laggards") == [deaf]

            await_that(named, GENEROUS)
            apart = kubectl.get("typ", NAME)
            assert apart["status"]["routing"]["synced"] == "2/3"
            assert condition(apart, "Ready")["status"] == "False"
        await_ready(kubectl, ROLLS_SECONDS)
        assert all(pod.switched("rf", began) is not None for pod in pods)
    assert lies == []
    insist_on_calm(kubectl, before, pods)
