"""Shadows of a cluster in `tiltyard report`: what all pods did, those that are gone too."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_ready
from cluster.plane import ControlPlane
from filed import filed
from kubectl import Kubectl
from outcomes import addresses, await_successor
from pods import engines
from programs import tiltyard
from served_models import scaled
from tiltyard_api.figures import VariantFigures
from tiltyard_core.experiments.shadow import beside
from waiting import await_that

Object = dict[str, Any]

PATIENCE = 180.0
STEP = "price"
CHAMPION, TWICE, HALF = "once", "twice", "half"
FACTORS = {CHAMPION: 1.0, TWICE: 2.0, HALF: 0.5}
COMPARE: Object = {"output": "y", "tolerance": 0.3, "threshold": 1.0}
XS = [0.25] * 12 + [0.75] * 6 + [1.5] * 3 + [4.0] * 2
"""What is asked, a row each; who says yes, and who is far off, follows from the factors."""

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(900),
]


def document(folder: Path) -> Object:
    """Give a shadow of two challengers on two pods."""
    models = {name: scaled(factor) for name, factor in FACTORS.items()}
    challengers = [{"model": TWICE}, {"model": HALF}]
    shadow = {
        "champion": CHAMPION,
        "challengers": challengers,
        "compare": COMPARE,
        "timeout": "60s",
    }
    return filed(folder, models, {"name": STEP, "shadow": shadow}, 2)


def told(pods: Sequence[str]) -> list[Object]:
    """What each pod says that it counted of its variants."""
    found = [urllib3.request("GET", f"http://{pod}:9090/status", timeout=20) for pod in pods]
    return [one.json()["pipelines"][0]["steps"][0]["variants"] for one in found]


def use(pods: Sequence[str]) -> None:
    """Ask pods in turn, and wait until every challenger has had every row."""
    before = sum(one[HALF]["compared"] + one[TWICE]["compared"] for one in told(pods))
    for number, x in enumerate(XS):
        url = f"http://{pods[number % len(pods)]}:8080/pipelines/{NAME}"
        answer = urllib3.request("POST", url, json=[{"x": x}], timeout=20)
        assert answer.status == 200, answer.data

    def compared() -> bool:
        now = sum(one[HALF]["compared"] + one[TWICE]["compared"] for one in told(pods))
        return bool(now == before + 2 * len(XS))

    await_that(compared, PATIENCE)


def reported(namespace: str) -> dict[str, Object]:
    """What `tiltyard report` says of each challenger."""
    run = tiltyard("report", NAME, "-n", namespace, "-o", "json")
    assert run.returncode == 0, run.stderr
    return {one["challenger"]: one for one in plain(run.stdout)["shadows"]}


def plain(text: str) -> Object:
    """Read JSON. The last digits of a mean depend on the order in which pods are added up."""
    return dict(json.loads(text, parse_float=lambda number: float(f"{float(number):.9g}")))


def of_all(parts: Sequence[Object]) -> dict[str, Object]:
    """What a report of these pods says."""
    figures = [
        {name: VariantFigures.model_validate(said) for name, said in one.items()} for one in parts
    ]
    champion = CHAMPION, [one[CHAMPION] for one in figures]
    found = {name: beside(STEP, champion, (name, [one[name] for one in figures])) for name in PAIR}
    return {
        name: plain(one.model_dump_json(by_alias=True, exclude_none=True))
        for name, one in found.items()
    }


PAIR = (TWICE, HALF)


def counts(found: dict[str, Object]) -> dict[str, list[int]]:
    """Read what a report counts of each challenger."""
    return {
        name: [one["compared"], one["matched"]]
        + [one["flips"][kind]["count"] for kind in ("falseNegatives", "falsePositives")]
        for name, one in found.items()
    }


def asked(rounds: int) -> dict[str, list[int]]:
    """Count the same of what was asked so often."""
    found = {}
    for name in PAIR:
        pairs = [(x, x * FACTORS[name]) for x in XS]
        close = sum(abs(one - other) <= COMPARE["tolerance"] for one, other in pairs)
        negatives = sum(other < COMPARE["threshold"] <= one for one, other in pairs)
        positives = sum(one < COMPARE["threshold"] <= other for one, other in pairs)
        found[name] = [rounds * number for number in (len(XS), close, negatives, positives)]
    return found


class Watch:
    """Hears what every pod said last, those that are gone too."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._last: dict[str, Object] = {}

    def agrees(self, pods: Sequence[str], rounds: int) -> bool:
        """Whether the report is of all pods there ever were, and of all that was asked."""
        for pod in pods:
            with suppress(urllib3.exceptions.HTTPError):  # it is gone
                (self._last[pod],) = told([pod])
        found = reported(self._namespace)
        every = of_all([self._last[pod] for pod in sorted(self._last)])
        return counts(found) == asked(rounds) and found == every


def test_pods_that_go_leave_what_their_challengers_did(
    kubectl: Kubectl,
    tmp_path: Path,
    namespace: str,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    # As JSON: for kubectl a plain y in YAML is true.
    kubectl("apply", "--filename=-", stdin=json.dumps(document(tmp_path)))
    await_ready(kubectl)
    assert {one["compared"] for one in reported(namespace).values()} == {0}
    watch, pods = Watch(namespace), addresses(kubectl)
    use(pods)
    leaving = engines(kubectl)[0]["metadata"]["name"]
    kubectl("delete", "pod", leaving, "--wait=false")
    await_that(lambda: watch.agrees(pods, 1), PATIENCE)
    await_successor(kubectl, leaving, 2, PATIENCE)
    await_ready(kubectl)

    pods = addresses(kubectl)
    use(pods)
    kubectl("delete", "pod", engines(kubectl)[0]["metadata"]["name"], "--wait=false")
    await_that(lambda: watch.agrees(pods, 2), PATIENCE)
    for row in reported(namespace).values():
        assert row["low"] < row["rate"] < row["high"]
        for times in (row["times"], row["championTimes"]):
            assert 0 < times["median"] <= times["p95"] <= times["p99"]
            assert times["mean"] > 0
    shown = tiltyard("report", NAME, "-n", namespace).stdout
    assert all(word in shown for word in (*FACTORS, "99 %", "yes where the champion says no"))
