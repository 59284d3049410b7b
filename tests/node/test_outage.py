"""Without the API server, or without the operator, engines go on."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from bikes import await_ready
from cluster.node.node import Node
from kubectl import Kubectl
from pods import ROLLS_SECONDS, address, bikes_from, expecting
from steady import steady
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("node"), pytest.mark.full]

BREAKS_THE_NODE = True
"""See `turn` in conftest.py."""

OUTAGE_SECONDS = 60


@pytest.fixture(scope="module")
def served(kubectl: Kubectl, models: str) -> Object:
    """A Pipeline of two pods that serves."""
    document = bikes_from(models)
    kubectl.apply(document)
    await_ready(kubectl, ROLLS_SECONDS)
    return document


def reweighted(document: Object) -> Object:
    """Give the same with other weights."""
    for variant in document["spec"]["steps"][0]["split"]["variants"]:
        variant["weight"] = 3
    return document


@pytest.fixture
def expected(kubectl: Kubectl) -> Callable[[str], str]:
    """Which variant a rider gets: equal weights are equal, whatever they are."""
    return expecting(kubectl)


def test_an_api_server_that_is_away_harms_no_request(
    kubectl: Kubectl, node: Node, served: Object, expected: Callable[[str], str]
) -> None:
    with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
        await_that(lambda: traffic.reached(200), 60)
        node.pause("kube-apiserver")
        try:
            time.sleep(OUTAGE_SECONDS)
        finally:
            node.resume("kube-apiserver")
        before = traffic.answered
        await_that(lambda: traffic.reached(before + 200), 60)
    assert traffic.faults == [], f"{len(traffic.faults)} of {traffic.answered}"
    kubectl.apply(reweighted(served))
    await_ready(kubectl, ROLLS_SECONDS)


def test_an_operator_that_is_away_harms_no_request(
    kubectl: Kubectl, tiltyard: Kubectl, served: Object, expected: Callable[[str], str]
) -> None:
    deployment = "deployment/tiltyard-operator"
    with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
        tiltyard("scale", deployment, "--replicas=0")
        tiltyard("rollout", "status", deployment, "--timeout=50s")
        before = traffic.answered
        await_that(lambda: traffic.reached(before + 500), 60)
        kubectl.apply(reweighted(served))
        tiltyard("scale", deployment, "--replicas=1")
        await_ready(kubectl, ROLLS_SECONDS)
    assert traffic.faults == [], f"{len(traffic.faults)} of {traffic.answered}"
