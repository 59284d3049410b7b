"""Without the API server, without the operator, without power: engines go on, or come back."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from bikes import await_ready
from cluster.node.node import Node
from installed import OPERATOR, await_operator
from kubectl import Kubectl
from pods import ROLLS_SECONDS, address, engines
from steady import judge, steady
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

BREAKS_THE_NODE = True
"""See `turn` in conftest.py."""

OUTAGE_SECONDS = 60


def reweighted(document: Object) -> Object:
    """Give the same with other weights, by which each rider gets what it got."""
    for variant in document["spec"]["steps"][0]["split"]["variants"]:
        variant["weight"] = 3
    return document


def converged(kubectl: Kubectl, since: float) -> None:
    """Wait until all is as the spec says, and tell how long that took."""
    await_ready(kubectl, ROLLS_SECONDS)
    print(f"ready {time.monotonic() - since:.1f} s later")  # noqa: T201 - shown by -rP


def test_an_api_server_that_is_away_harms_no_request(
    kubectl: Kubectl, node: Node, pipeline: Object, expected: Callable[[str], str]
) -> None:
    with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
        await_that(lambda: traffic.reached(200), 60)
        node.pause("kube-apiserver")
        try:
            time.sleep(OUTAGE_SECONDS)
        finally:
            node.resume("kube-apiserver")
        before, since = traffic.answered, time.monotonic()
        await_that(lambda: traffic.reached(before + 200), 60)
    judge(traffic)
    kubectl.apply(reweighted(pipeline))
    converged(kubectl, since)


def test_an_operator_that_is_away_harms_no_request(
    kubectl: Kubectl, tiltyard: Kubectl, pipeline: Object, expected: Callable[[str], str]
) -> None:
    with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
        tiltyard("scale", OPERATOR, "--replicas=0")
        await_operator(tiltyard)
        before = traffic.answered
        await_that(lambda: traffic.reached(before + 500), 60)
        kubectl.apply(reweighted(pipeline))
        since = time.monotonic()
        tiltyard("scale", OPERATOR, "--replicas=1")
        converged(kubectl, since)
    judge(traffic)


@pytest.mark.usefixtures("pipeline")
def test_all_is_ready_again_after_the_node_lost_its_power(
    kubectl: Kubectl, expected: Callable[[str], str], reboot: Callable[[], None]
) -> None:
    def starts() -> dict[str, int]:
        return {
            one["metadata"]["name"]: status["restartCount"]
            for one in engines(kubectl)
            for status in one["status"].get("containerStatuses", ())
        }

    before, since = starts(), time.monotonic()
    assert len(before) == 2
    reboot()

    def started_again() -> bool:
        now = starts()
        return all(now.get(name, -1) > count for name, count in before.items())

    await_that(started_again, ROLLS_SECONDS)
    converged(kubectl, since)
    with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
        await_that(lambda: traffic.reached(500), 60)
    judge(traffic)
