"""Two operators: one works, the other waits, and at no time do both write."""

import signal
import time
from datetime import datetime
from typing import Any

from cluster.api import Api
from operators import PLAIN, OperatorProcess, Operators, create
from tiltyard_operator.kinds import CONFIG_MAP, LEASE
from tiltyard_operator.lease import DURATION, NAME
from waiting import await_that


def start(operators: Operators, name: str) -> OperatorProcess:
    return operators.start(name, PLAIN)


def lease(api: Api, namespace: str) -> dict[str, Any]:
    return dict(api.call("GET", LEASE.path(namespace, NAME))["spec"])


def has_child(api: Api, namespace: str, name: str) -> bool:
    return api.get(CONFIG_MAP.path(namespace, f"{name}-routing")) is not None


def test_one_works_and_the_other_takes_over_at_once_when_it_ends(
    operators: Operators, api: Api, namespace: str
) -> None:
    first = start(operators, "first").await_work()
    second = start(operators, "second")
    await_that(lambda: second.said("waiting for the Lease"))
    assert lease(api, namespace)["holderIdentity"] == "first"
    assert second.ask("/readyz") == "ok\n"
    create(api, namespace, "p")
    await_that(lambda: has_child(api, namespace, "p"))
    assert not second.said("looked")
    assert first.stop() == 0
    ended = time.monotonic()
    second.await_work()
    assert time.monotonic() - ended < DURATION - 3
    spec = lease(api, namespace)
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 2)


def test_one_that_was_stopped_and_comes_back_writes_no_more_and_ends(
    operators: Operators, api: Api, namespace: str
) -> None:
    first = start(operators, "first").await_work()
    second = start(operators, "second")
    await_that(lambda: second.said("waiting for the Lease"))
    first.signal(signal.SIGSTOP)
    second.await_work()
    create(api, namespace, "p")
    await_that(lambda: has_child(api, namespace, "p"))
    before = api.call("GET", CONFIG_MAP.path(namespace, "p-routing"))["metadata"]
    first.signal(signal.SIGCONT)
    assert first.ended() == 1
    assert first.lines()[-1]["error"] == "another operator has the Lease"
    assert lease(api, namespace)["holderIdentity"] == "second"
    after = api.call("GET", CONFIG_MAP.path(namespace, "p-routing"))["metadata"]
    assert before["resourceVersion"] == after["resourceVersion"]
    create(api, namespace, "q")
    await_that(lambda: has_child(api, namespace, "q"))


def test_one_that_comes_back_under_its_own_name_need_not_wait(
    operators: Operators, api: Api, namespace: str
) -> None:
    start(operators, "first").await_work().kill()
    assert lease(api, namespace)["holderIdentity"] == "first"
    again = start(operators, "first").await_work()
    times = {one["message"]: datetime.fromisoformat(one["time"]) for one in again.lines()}
    waited = times["has the Lease"] - times["started"]
    assert waited.total_seconds() < DURATION - 3
