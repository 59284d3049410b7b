"""Watches, queue and resync around the simplest story: nothing is missed, nothing is disturbed."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.api import MERGE, Api
from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import ControlPlane, running
from faultproxy.faults import answer, forward, late
from faultproxy.proxy import FaultProxy
from faultproxy.watches import dropping, error, freezing, untouched
from kubectl import Kubectl
from operators import PLAIN, OperatorProcess, Operators, create
from tiltyard_operator.kinds import CONFIG_MAP, PIPELINE
from waiting import await_that

SOON = 40.0
"""Seconds in which what an event tells of is done, on a machine that is busy."""

Object = dict[str, Any]


@pytest.fixture
def operator(operators: Operators) -> OperatorProcess:
    return operators.start(command=PLAIN).await_work()


def child(api: Api, namespace: str, name: str = "p") -> Object | None:
    return api.get(CONFIG_MAP.path(namespace, f"{name}-routing"))


def await_child(api: Api, namespace: str, name: str = "p", seconds: float = SOON) -> Object:
    await_that(lambda: child(api, namespace, name), seconds)
    found = child(api, namespace, name)
    assert found is not None
    return found


def writes(plane: ControlPlane, namespace: str) -> list[Object]:
    """Every write in the namespace that the operator made."""
    lines = map(json.loads, plane.audit_log.read_text().splitlines())
    user = f"system:serviceaccount:{namespace}:tiltyard-operator"
    return [line for line in lines if line["user"]["username"] == user]


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    "edit",
    [
        {"data": {"suspend": "theirs"}},
        {"metadata": {"labels": None}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "theirs"}}},
        {"metadata": {"labels": {"app.kubernetes.io/instance": "theirs"}}},
        {"metadata": {"ownerReferences": None}},
    ],
    ids=["data", "labels", "manager", "instance", "owner"],
)
def test_what_somebody_does_to_an_owned_object_is_undone_by_its_event(
    api: Api, namespace: str, edit: Object
) -> None:
    create(api, namespace)
    before = await_child(api, namespace)
    api.call("PATCH", CONFIG_MAP.path(namespace, "p-routing"), edit, MERGE)

    def same() -> bool:
        now = child(api, namespace)
        heads = [one["metadata"] for one in (before, now or {"metadata": {}})]
        names = ("labels", "ownerReferences")
        return bool(now) and all(heads[0].get(name) == heads[1].get(name) for name in names)

    await_that(same, SOON)
    await_that(lambda: (child(api, namespace) or {}).get("data") == before["data"], SOON)


@pytest.mark.usefixtures("operator")
def test_what_is_deleted_is_made_anew_and_goes_with_its_owner(
    api: Api, namespace: str, kubectl: Kubectl
) -> None:
    create(api, namespace)
    first = await_child(api, namespace)
    api.call("DELETE", CONFIG_MAP.path(namespace, "p-routing"))
    second = await_child(api, namespace)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    kubectl("delete", "pipeline", "p", "--timeout=120s")
    await_that(lambda: child(api, namespace) is None)


def test_only_what_the_story_says_is_written_and_nothing_of_kopfs(
    control_plane: ControlPlane, operator: OperatorProcess, api: Api, namespace: str
) -> None:
    for number in range(5):
        create(api, namespace, f"p{number}")
        await_child(api, namespace, f"p{number}")
    suspend = {"spec": {"suspend": True}, "metadata": {"annotations": {"somebody": "else"}}}
    api.call("PATCH", PIPELINE.path(namespace, "p0"), suspend, MERGE)
    await_that(lambda: (child(api, namespace, "p0") or {})["data"] == {"suspend": "True"}, SOON)
    generation = {"observedGeneration": 2}
    await_that(lambda: _get(api, namespace, "p0")["status"] == generation, SOON)
    head = _get(api, namespace, "p0")["metadata"]
    assert "finalizers" not in head
    assert head["annotations"] == {"somebody": "else"}
    done = [line for line in writes(control_plane, namespace) if "leases" not in line["requestURI"]]
    assert {line["userAgent"] for line in done} == {"tiltyard-operator"}
    assert sorted(_what(line) for line in done) == sorted(
        [("patch", f"p{n}-routing", "") for n in (0, *range(5))]
        + [("update", f"p{n}", "status") for n in (0, *range(5))]
    )
    assert operator.count('tiltyard_operator_writes_total{kind="ConfigMap",verb="apply"}') == 6
    assert operator.count("tiltyard_operator_queue_depth") == 0


def _get(api: Api, namespace: str, name: str) -> Object:
    return api.call("GET", PIPELINE.path(namespace, name))


def _what(line: Object) -> tuple[str, str, str]:
    about = line["objectRef"]
    return line["verb"], about["name"], about.get("subresource", "")


def test_a_resync_finds_what_no_event_told(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    proxy.spoiler = dropping(lambda asked, _: asked.plural in ("configmaps", "pipelines"))
    operators.start(command=PLAIN, url=proxy.url, TILTYARD_RESYNC_SECONDS="2").await_work()
    create(api, namespace)
    await_child(api, namespace)
    api.call(
        "PATCH", CONFIG_MAP.path(namespace, "p-routing"), {"metadata": {"labels": None}}, MERGE
    )
    await_that(lambda: "labels" in (child(api, namespace) or {})["metadata"], SOON)
    api.call("DELETE", CONFIG_MAP.path(namespace, "p-routing"))
    await_child(api, namespace)


def test_a_watch_that_has_expired_is_begun_anew(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    operator = operators.start(command=PLAIN, url=proxy.url).await_work()
    create(api, namespace)
    await_child(api, namespace)
    assert proxy.inject("pipelines", error(410, "Expired")) == 1
    assert proxy.inject("configmaps", error(410, "Expired")) == 1
    create(api, namespace, "q")
    await_child(api, namespace, "q")
    api.call("DELETE", CONFIG_MAP.path(namespace, "p-routing"))
    await_child(api, namespace)
    assert operator.running


def test_a_fault_in_a_watch_ends_the_process_with_a_clear_line(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    operator = operators.start(command=PLAIN, url=proxy.url).await_work()
    await_that(lambda: proxy.inject("pipelines", error(500, "InternalError")))
    assert operator.ended() == 1
    last = operator.lines()[-1]
    assert last["message"] == "ended"
    assert "InternalError" in last["error"]
    operators.start(command=PLAIN, url=proxy.url).await_work()
    create(api, namespace)
    await_child(api, namespace)


@pytest.mark.full
@pytest.mark.timeout(180)
def test_a_watch_that_has_gone_silent_is_noticed(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    operators.start(command=PLAIN, url=proxy.url).await_work()
    create(api, namespace)
    await_child(api, namespace)
    proxy.spoiler = freezing
    create(api, namespace, "q")
    time.sleep(2)
    assert child(api, namespace, "q") is None
    proxy.spoiler = untouched  # what is frozen stays so; what is begun anew is not
    await_child(api, namespace, "q", seconds=100)


def test_an_api_server_that_fails_for_a_while_is_outlived(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    operator = operators.start(command=PLAIN, url=proxy.url).await_work()
    create(api, namespace)
    await_child(api, namespace)
    proxy.fault = lambda _: answer(503)
    proxy.end_watches("pipelines")
    proxy.end_watches("configmaps")
    create(api, namespace, "q")
    api.call("DELETE", CONFIG_MAP.path(namespace, "p-routing"))
    time.sleep(12)  # longer than the Lease is held
    assert operator.ask("/livez") == "ok\n"
    proxy.fault = lambda _: forward
    await_child(api, namespace, seconds=30)
    await_child(api, namespace, "q", seconds=30)
    assert operator.running


def test_a_reconcile_under_way_is_finished_after_sigterm(
    operators: Operators, proxy: FaultProxy, api: Api, namespace: str
) -> None:
    operator = operators.start(command=PLAIN, url=proxy.url).await_work()
    slow = late(3)
    proxy.fault = lambda asked: slow if asked.writes and asked.plural == "configmaps" else forward
    create(api, namespace)
    await_that(lambda: proxy.writes, SOON)
    operator.signal(signal.SIGTERM)
    assert operator.ended(15) == 0
    assert child(api, namespace)
    assert [write.asked.subresource for write in proxy.writes] == ["", "status"]
    lease = api.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
    assert not lease["spec"].get("holderIdentity")


LEASE = "tiltyard-operator"


def test_resources_that_are_defined_late_or_anew_are_waited_for(
    binaries: Binaries, tmp_path: Path
) -> None:
    with running(tmp_path / "plane", binaries) as processes:
        plane = processes.plane
        api, kubectl = plane.api(), Kubectl(plane.kubectl, plane.kubeconfig, "default")
        operators = Operators(plane, "default", tmp_path)
        try:
            operator = operators.start(command=PLAIN)
            phrase = "waiting until Pipelines and Models can be listed"
            await_that(lambda: operator.said(phrase), 30)
            assert operator.ask("/livez") == "ok\n"
            install_crds(plane)
            operator.await_work()
            create(api, "default")
            await_child(api, "default")
            kubectl("delete", "crd", "pipelines.tiltyard.dev", "--timeout=120s")
            assert operator.ended(90) == 1
            assert "404" in str(operator.lines()[-1]["error"])
            operator = operators.start(command=PLAIN)
            await_that(lambda: operator.said(phrase), 30)
            install_crds(plane)
            operator.await_work()
            create(api, "default")
            await_child(api, "default")
        finally:
            operators.stop()
            api.close()
