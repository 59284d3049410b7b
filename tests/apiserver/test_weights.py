"""New weights reach every pod soon, restart nothing, and are acknowledged truthfully."""

import sys
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from bikes import NAME, await_ready, bikes, condition
from cluster.plane import ControlPlane
from kubectl import Kubectl
from localnode.node import LocalNode
from pods import engines
from relay import relay
from switches import TURNS, asked, insist_on_calm, switch, watched
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.usefixtures("operator_process"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(6, id="6"),
        pytest.param(50, id="50", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
)
@pytest.mark.usefixtures("local_node")
def test_changes_are_in_force_everywhere_and_only_then_acknowledged(
    kubectl: Kubectl, changes: int
) -> None:
    kubectl.apply(bikes((1, 0), replicas=3))
    await_ready(kubectl)
    before = engines(kubectl)
    took: list[float] = []
    with asked(before) as pods, watched(kubectl) as lies:
        for number in range(changes):
            weights, variant = TURNS[number % 2]
            took += switch(kubectl, bikes(weights, replicas=3), variant, pods)
    took.sort()
    half, last = took[len(took) // 2], took[-1]
    sys.stdout.write(f"{changes} changes on 3 pods: half within {half:.2f} s, all {last:.2f}\n")
    assert lies == []
    insist_on_calm(kubectl, before, pods)


def test_a_pod_that_hears_of_nothing_is_named_while_the_others_switch(
    kubectl: Kubectl, control_plane: ControlPlane, local_node: LocalNode
) -> None:
    server = urlsplit(control_plane.url)
    assert server.hostname
    assert server.port
    with relay(server.hostname, server.port) as way:
        local_node.detours = [way.port]
        kubectl.apply(bikes((1, 0), replicas=3))
        await_ready(kubectl)
        with asked(engines(kubectl)) as pods, watched(kubectl) as lies:
            way.cut()
            began = time.monotonic()
            kubectl.apply(bikes((0, 1), replicas=3))
            await_that(lambda: sum(one.switched("rf", began) is not None for one in pods) == 2)
            (deaf,) = [one for one in pods if one.switched("rf", began) is None]
            await_that(
                lambda: (
                    kubectl.get(f"typ/{NAME}")["status"]["routing"].get("laggards") == [deaf.name]
                )
            )
            apart = kubectl.get(f"typ/{NAME}")
            assert apart["status"]["routing"]["synced"] == "2/3"
            assert condition(apart, "RoutingSynced")["reason"] == "Syncing"
            assert condition(apart, "Ready")["status"] == "False"
            way.mend()
            await_ready(kubectl)
            assert deaf.switched("rf", began) is not None
        assert lies == []
        assert {status for pod in pods for _, status, _ in pod.answers} == {200}
