"""The API server refuses, asks for patience or fails in part: people hear why, and it passes."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bikes import NAME, condition
from cluster.api import Api
from cluster.plane import ControlPlane
from fault_runs import FIRST, SECOND, Snapshot, assert_same, reach, rest, simple
from faultproxy import faults
from faultproxy.exchange import Asked
from faultproxy.faults import Fault
from faultproxy.proxy import FaultProxy
from ground import Ground, ground
from kubectl import Kubectl
from operators import ACCOUNT, PLAIN, Operators, create
from snapshots import owned
from tiltyard_operator.answers import LONGEST_WAIT
from tiltyard_operator.kinds import CONFIG_MAP
from waiting import await_that

Object = dict[str, Any]

pytestmark = pytest.mark.timeout(400)

OTHER: Object = {**simple(replicas=0), "metadata": {"name": "other"}}
"""Another Pipeline, without pods."""


@pytest.fixture(scope="module")
def shared(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ground, Snapshot]]:
    """A ground whose Pipeline serves, and what it then came to."""
    folder = tmp_path_factory.mktemp("errors") / "ground"
    with ground(control_plane, f"err-{secrets.token_hex(4)}", folder) as made:
        made.kubectl.apply(OTHER)
        yield made, reach(made, FIRST).result


@pytest.fixture
def expected(shared: tuple[Ground, Snapshot]) -> Snapshot:
    return shared[1]


@pytest.fixture
def operated(shared: tuple[Ground, Snapshot]) -> Iterator[Ground]:
    """The ground, without faults and at rest."""
    made, _ = shared
    reach(made, FIRST)
    yield made
    made.proxy.forget()


def delete(operated: Ground, kind: str, name: str) -> None:
    operated.kubectl("delete", kind, name, "--wait=false")


def kinds(operated: Ground, name: str = NAME) -> set[str]:
    return {one["kind"] for one in owned(operated.kubectl, name)}


def on_writes_of(plural: str, name: str, fault: Fault) -> Callable[[Asked], Fault]:
    """Let every write of one object go wrong."""

    def choose(asked: Asked) -> Fault:
        it = (asked.plural, asked.name, asked.subresource) == (plural, name, "")
        return fault if asked.writes and it else faults.forward

    return choose


AT_ODDS: dict[str, tuple[str, str, Object | None]] = {
    "service": ("services", NAME, None),
    "deployment": ("deployments", NAME, simple(cpus=0.6)),
    "routing": ("configmaps", f"{NAME}-routing", simple(weights=(1, 3))),
}
"""An object that is at odds for ever, and the change that has it written; None: it is deleted."""


@pytest.mark.parametrize("case", AT_ODDS)
def test_an_object_that_is_at_odds_for_ever_is_named_and_hinders_no_other(
    operated: Ground, expected: Snapshot, case: str
) -> None:
    plural, name, change = AT_ODDS[case]
    operated.proxy.fault = on_writes_of(plural, name, faults.answer(409))
    began = time.monotonic()
    if change:
        operated.kubectl.apply(change)
    else:
        delete(operated, "service", name)

    def told() -> bool:
        found = condition(operated.pipeline(NAME), "Reconciling")
        return found.get("reason") == "Retrying" and f"{name}" in found["message"]

    await_that(told, 60)
    delete(operated, "service", "other")
    await_that(lambda: "Service" in kinds(operated, "other"))
    tries = [one for one in operated.proxy.writes if one.status == 409]
    assert 1 <= len(tries) <= 10 + (time.monotonic() - began)
    operated.proxy.forget()
    operated.kubectl.apply(FIRST)
    assert_same(expected, rest(operated).result)


PATIENCE = [
    pytest.param(8, id="8s"),
    pytest.param(30, id="30s", marks=pytest.mark.full),
    pytest.param(10**9, id="years", marks=pytest.mark.full),
]


@pytest.mark.parametrize("seconds", PATIENCE)
def test_who_is_asked_for_patience_has_it_up_to_a_bound(operated: Ground, seconds: int) -> None:
    patience = faults.answer(429, retry_after=seconds)
    operated.proxy.fault = on_writes_of("services", NAME, patience)
    delete(operated, "service", NAME)
    await_that(lambda: refused(operated))
    operated.proxy.fault = lambda _: faults.forward
    bound = min(seconds, LONGEST_WAIT)
    await_that(lambda: "Service" in kinds(operated), bound + 60)
    first, *others = refused(operated)
    assert others == []
    second = next(one for one in operated.proxy.writes if one.at > first.at and made(one))
    assert second.at - first.at >= bound


def refused(operated: Ground) -> list[Any]:
    return [one for one in operated.proxy.writes if one.status == 429]


def made(write: Any) -> bool:
    return bool(write.asked.plural == "services" and write.asked.name == NAME)


def test_an_absurd_wish_for_patience_does_not_end_the_watches(operated: Ground) -> None:
    absurd = faults.answer(429, retry_after=10**9)
    operated.proxy.fault = lambda asked: absurd if asked.watches else faults.forward
    for plural in ("pipelines", "services"):
        assert operated.proxy.end_watches(plural)
    time.sleep(3)
    operated.proxy.forget()
    operated.kubectl.apply(SECOND)
    generation = operated.pipeline(NAME)["metadata"]["generation"]
    status = "observedGeneration"
    await_that(lambda: operated.pipeline(NAME)["status"][status] == generation, 60)


@pytest.mark.parametrize(
    "seconds", [pytest.param(8, id="8s"), pytest.param(90, id="90s", marks=pytest.mark.full)]
)
@pytest.mark.parametrize("what", ["reads", "writes"])
def test_reads_or_writes_alone_may_fail(operated: Ground, what: str, seconds: float) -> None:
    other = simple(weights=(1, 3))
    expected = reach(operated, other).result
    reach(operated, FIRST)
    before = operated.starts

    def fails(asked: Asked) -> Fault:
        chosen = asked.writes if what == "writes" else not asked.writes and not asked.watches
        return faults.answer(500) if chosen and asked.plural != "leases" else faults.forward

    operated.proxy.fault = fails
    operated.kubectl.apply(other)
    delete(operated, "service", NAME)
    time.sleep(seconds)
    assert "Service" not in kinds(operated)
    operated.proxy.forget()
    await_that(lambda: "Service" in kinds(operated), 60)
    assert_same(expected, rest(operated).result)
    assert operated.starts == before


LISTED = ("pipelines", "models", "configmaps", "deployments", "pods", "jobs")


def test_an_operator_that_dies_before_it_saw_everything_deletes_nothing(
    operated: Ground, expected: Snapshot
) -> None:
    for plural in LISTED:
        died: list[str] = []

        def fails(asked: Asked, plural: str = plural, died: list[str] = died) -> Fault:
            lists = not asked.writes and not asked.watches and not asked.name
            if died or not lists or asked.plural != plural:
                return faults.forward
            died.append(plural)
            return faults.after(operated.kill)

        operated.proxy.forget()
        operated.proxy.fault = fails
        operated.kill()
        await_that(lambda died=died: died, 60)
        assert_same(expected, rest(operated).result)
        deletions = [str(one) for one in operated.proxy.writes if one.asked.method == "DELETE"]
        assert deletions == [], plural


def test_an_operator_that_nobody_knows_for_a_while_comes_back(
    operated: Ground, expected: Snapshot
) -> None:
    operated.proxy.fault = lambda _: faults.answer(401)
    for plural in ("pipelines", "services"):
        operated.proxy.end_watches(plural)
    delete(operated, "service", NAME)
    time.sleep(10)
    operated.proxy.forget()
    await_that(lambda: "Service" in kinds(operated), 120)
    assert_same(expected, rest(operated).result)


def test_a_token_that_was_replaced_is_taken_up_without_a_new_start(
    control_plane: ControlPlane,
    operators: Operators,
    proxy: FaultProxy,
    kubectl: Kubectl,
    api: Api,
    tmp_path: Path,
) -> None:
    old, new = (kubectl("create", "token", ACCOUNT).strip() for _ in range(2))
    kubeconfig, said = tmp_path / "rotating.kubeconfig", tmp_path / "credential.json"
    control_plane.write_kubeconfig(kubeconfig, old, proxy.url)
    rotate(said, old)
    config = yaml.safe_load(kubeconfig.read_text())
    program = {"apiVersion": EXEC, "command": "cat", "args": [str(said)]}
    config["users"][0]["user"] = {"exec": program | {"interactiveMode": "Never"}}
    kubeconfig.write_text(yaml.safe_dump(config))
    operator = operators.start(command=PLAIN, KUBECONFIG=str(kubeconfig)).await_work()
    create(api, kubectl.namespace)
    await_that(lambda: api.get(CONFIG_MAP.path(kubectl.namespace, "p-routing")))
    rotate(said, new)
    proxy.fault = lambda asked: faults.forward if asked.token == new else faults.answer(401)
    for plural in ("pipelines", "configmaps"):
        proxy.end_watches(plural)
    create(api, kubectl.namespace, "q")
    await_that(lambda: api.get(CONFIG_MAP.path(kubectl.namespace, "q-routing")), 60)
    assert operator.running


EXEC = "client.authentication.k8s.io/v1"


def rotate(path: Path, token: str) -> None:
    """Let the next who asks have this token."""
    status = {"token": token, "expirationTimestamp": "2020-01-01T00:00:00Z"}  # ask each time
    path.write_text(json.dumps({"apiVersion": EXEC, "kind": "ExecCredential", "status": status}))
