"""An experiment on a real node: whatever is killed meanwhile, the sums are the client's ledger."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from typing import Any, TypeVar

import pytest
import urllib3

from bikes import NAME, await_ready
from cluster.plane import ControlPlane
from engines import EXAMPLES
from installed import await_operator
from kubectl import Kubectl
from ledgers import Ledger
from outcomes import Answer, addresses, answers, await_successor, kept, written
from pods import ROLLS_SECONDS, bikes_from, engines
from programs import tiltyard as run_tiltyard
from tiltyard_core.experiments.arrays import whole
from waiting import await_that

Object = dict[str, Any]
Hour = tuple[Object, float]
"""A row, and how many bikes were hired in that hour after all."""

Outcome = tuple[Answer, float]
"""The answer to it, likewise."""

Thing = TypeVar("Thing")

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

BREAKS_THE_NODE = True
"""See `turn` in conftest.py: the operator is killed."""

EXAMPLE = EXAMPLES / "bike-demand"
STEP = "demand"
PODS = 3
WEIGHTS = [(2, 1), (1, 1), (1, 3)]
METRICS = [
    {"name": "off", "kind": "value", "better": "lower", "goal": True},
    {"name": "hired", "kind": "count"},
]
AT_ONCE = 10
"""Rows a request, and outcomes a list: many requests, so that whatever is killed had some."""

WRITTEN_SECONDS = 240
"""Until everything is written down, and told by the status: each at most once a minute."""

PAUSE = 0.1
"""Seconds between two lists, while something goes on."""

OPERATOR = "--selector=app.kubernetes.io/name=tiltyard-operator"

KILL_ENGINE = """
import os, signal
found = [int(one) for one in os.listdir("/proc") if one.isdigit()]
killed = [one for one in found if one not in (1, os.getpid())]
for process in killed:
    os.kill(process, signal.SIGKILL)
print(len(killed))
"""
"""Ends what the first process of a container has started: its worker and its management."""


def document(models: str, weights: tuple[float, float]) -> Object:
    """Give the split of the bike models with an experiment on three pods."""
    found = bikes_from(models, weights, replicas=PODS)
    found["spec"]["experiment"] = {"metrics": METRICS, "minUnits": 100}
    return found


def hours() -> list[Hour]:
    """Give the held-out hours, with the true counts."""
    files = [EXAMPLE / "held-out.json", EXAMPLE / "truth.json"]
    rows, truth = (json.loads(file.read_text()) for file in files)
    return list(zip(rows, truth, strict=True))


def in_lists(things: Sequence[Thing], length: int = AT_ONCE) -> list[Sequence[Thing]]:
    """Divide a list into short ones."""
    return [things[start : start + length] for start in range(0, len(things), length)]


def ask(kubectl: Kubectl, known: Sequence[Hour]) -> list[Outcome]:
    """Ask all pods in turn."""
    found: list[Outcome] = []
    pods = cycle(addresses(kubectl))
    with urllib3.PoolManager(retries=False) as pool:
        for some in in_lists(known):
            got = answers(pool, next(pods), STEP, [row for row, _ in some])
            found += zip(got, [true for _, true in some], strict=True)
    return found


def pieces(outcome: Outcome) -> list[Object]:
    """Give the feedback on one answer. Sixteenths of a bike add up to the same in any order."""
    answer, true = outcome
    off = round(16 * abs(answer.out["bikers"][0] - true)) / 16
    values = {"off": off, "hired": int(true)}
    return [{"inferenceId": answer.id, "metric": key, "value": values[key]} for key in values]


def tell(places: Iterator[str], ledger: Ledger, outcomes: Sequence[Outcome]) -> None:
    """Send what came of answers to pods in turn, whoever gave them."""
    for some in in_lists(outcomes):
        for variant in sorted({answer.variant for answer, _ in some}):
            mine = [one for one in some if one[0].variant == variant]
            told = [piece for one in mine for piece in pieces(one)]
            ledger.send(f"http://{next(places)}:8080", variant, told)


@contextmanager
def telling(places: Iterator[str], ledger: Ledger, outcomes: Sequence[Outcome]) -> Iterator[None]:
    """Do something while feedback comes: a quarter of it before, and as much afterwards."""
    quarter, done = len(outcomes) // 4, threading.Event()
    before, amid, after = outcomes[:quarter], outcomes[quarter:-quarter], outcomes[-quarter:]

    def go_on() -> None:
        for some in in_lists(amid, 2):
            done.wait(PAUSE)
            tell(places, ledger, some)
        done.wait()
        tell(places, ledger, after)

    tell(places, ledger, before)
    with ThreadPoolExecutor(1) as background:
        sent = background.submit(go_on)
        try:
            yield
        finally:
            done.set()
        sent.result()


def count(ledger: Ledger) -> int:
    """How many pieces of feedback were sent."""
    return sum(many for many, _ in ledger.cells.values())


def uids_of(kubectl: Kubectl, selector: str) -> set[str]:
    """What pods are told apart by."""
    found = kubectl.get("pods", selector)["items"]
    return {one["metadata"]["uid"] for one in found if "deletionTimestamp" not in one["metadata"]}


def values_by_stratum(kubectl: Kubectl) -> list[int]:
    """How many answers have feedback that is written down, by the weights of their time."""
    sums = written(kubectl)
    assert sums
    return [
        sum(sum(whole(one.metrics["off"].counts)) for one in stratum.variants.values())
        for stratum in sums.strata
    ]


def reported(kubectl: Kubectl) -> Object:
    """What `tiltyard report` says of the verdict."""
    run = run_tiltyard("report", NAME, "-n", kubectl.namespace, "-o", "json")
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout)).get("verdict") or {}


def means(verdict: Object) -> dict[tuple[str, str], float | None]:
    """Read the means of a verdict, by variant and metric."""
    found = {}
    for one in verdict.get("comparisons", ()):
        found[one["variant"], one["metric"]] = one.get("mean")
        found[one["control"], one["metric"]] = one.get("controlMean")
    return found


def test_sums_are_the_clients_ledger_whatever_is_killed_meanwhile(
    kubectl: Kubectl,
    tiltyard: Kubectl,
    models: str,
    node_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(node_plane.kubeconfig))
    known, ledger = hours(), Ledger()
    parts = in_lists(known, -(-len(known) // len(WEIGHTS)))

    def reweighted(number: int) -> list[Outcome]:
        kubectl.apply(document(models, WEIGHTS[number]))
        await_ready(kubectl, ROLLS_SECONDS)
        return ask(kubectl, parts[number])

    def places(but: str = "") -> Iterator[str]:
        return cycle([one for one in addresses(kubectl) if one != but])

    early = reweighted(0)
    tell(places(), ledger, early[::2])
    later = reweighted(1)

    victim = engines(kubectl)[0]["metadata"]["name"]
    with telling(places(), ledger, early[1::2]):
        killed = kubectl("exec", victim, "--container=engine", "--", "python", "-c", KILL_ENGINE)
    assert int(killed) == 2
    await_ready(kubectl, ROLLS_SECONDS)

    leaving = engines(kubectl)[-1]
    name, address = leaving["metadata"]["name"], leaving["status"]["podIP"]
    tell(cycle([address]), ledger, later[0::4])
    with telling(places(but=address), ledger, later[1::4]):
        kubectl("delete", "pod", name, "--wait=false")
        await_successor(kubectl, name, PODS, ROLLS_SECONDS)
    await_ready(kubectl, ROLLS_SECONDS)

    before = uids_of(tiltyard, OPERATOR)
    with telling(places(), ledger, later[2::4]):
        tiltyard("delete", "pod", OPERATOR, "--force", "--grace-period=0")
    tell(places(), ledger, later[3::4])
    await_operator(tiltyard)
    assert not before & uids_of(tiltyard, OPERATOR)
    latest = reweighted(2)
    tell(places(), ledger, latest)

    outcomes = [*early, *later, *latest]
    assert count(ledger) == len(METRICS) * len(outcomes) == len(METRICS) * len(known)
    await_that(lambda: kept(kubectl) == ledger.cells, WRITTEN_SECONDS)
    assert values_by_stratum(kubectl) == [len(part) for part in parts]
    expected = {cell: total / many for cell, (many, total) in ledger.cells.items()}
    await_that(lambda: means(reported(kubectl)) == pytest.approx(expected), WRITTEN_SECONDS)
    status = kubectl.get("typ", NAME)["status"]
    (step,) = status["steps"]
    assert step["verdict"] == reported(kubectl)
    assert set(ledger.statuses) <= {409}
    print(  # noqa: T201 - shown by -rP
        f"{len(outcomes)} answers, {count(ledger)} pieces of feedback, "
        f"{ledger.statuses[409]} refused as repeated; {step['verdict']['reason']}: "
        f"{Counter(one.variant for one, _ in outcomes)}"
    )
