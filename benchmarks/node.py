"""Measure Tiltyard on a real node of its own: `benchmarks/node.py`, as root.

    make node-programs
    .venv/bin/python benchmarks/node.py --rounds 9 --rest 60

It starts a control plane and a kubelet, installs the chart, and applies a Pipeline of two small
models and one pod again and again, each time in a new namespace, so that all is fetched and tried
anew. Images are on the node. The README beside this file says how to read the figures.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import urllib3

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/support")]

from bikes import NAME  # noqa: E402 - the path has to be set first
from cluster.api import Api  # noqa: E402 - likewise
from cluster.binaries import WITH_NODE, find  # noqa: E402 - likewise
from cluster.crds import install_crds  # noqa: E402 - likewise
from cluster.node import cgroups, images  # noqa: E402 - likewise
from cluster.node.node import running_node  # noqa: E402 - likewise
from cluster.node.place import HOST  # noqa: E402 - likewise
from cluster.plane import ControlPlane  # noqa: E402 - likewise
from helm import Helm  # noqa: E402 - likewise
from installed import RELEASE, install  # noqa: E402 - likewise
from kubectl import Kubectl  # noqa: E402 - likewise
from manifests import MODELS, bike_record  # noqa: E402 - likewise
from pods import bikes_from  # noqa: E402 - likewise
from shelves import shelf  # noqa: E402 - likewise

Object = dict[str, Any]

STEPS = [
    "kubectl returns",
    "models are tried",
    "the pod is made",
    "its models are there",
    "the engine starts",
    "the pod is ready",
    "the first answer",
]
"""What happens one after the other, and when it was seen."""

LONGEST = 300.0
OPERATOR = "app.kubernetes.io/name=tiltyard-operator"


class Seen:
    """When each step was seen first, by a watch of the pods of a namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.times: dict[str, float] = {}
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._tried: set[str] = set()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def mark(self, step: str) -> None:
        """Note that a step is done."""
        self.times.setdefault(step, time.monotonic())

    def _look(self) -> None:
        version = self._api.call("GET", self._path)["metadata"]["resourceVersion"]
        with suppress(urllib3.exceptions.HTTPError):
            for event in self._api.watch(self._path, version, int(LONGEST)):
                self._note(event["object"])
                if STEPS[-1] in self.times:
                    return

    def _note(self, pod: Object) -> None:
        status = pod.get("status", {})
        states = [one["state"] for one in status.get("containerStatuses", ())]
        if "job-name" in pod["metadata"].get("labels", {}):
            if any("terminated" in one for one in states):
                self._tried.add(pod["metadata"]["name"])
            if len(self._tried) == len(list(MODELS.glob("*.onnx"))):
                self.mark("models are tried")
            return
        self.mark("the pod is made")
        true = {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}
        if "Initialized" in true:
            self.mark("its models are there")
        if any("running" in one for one in states):
            self.mark("the engine starts")
        if "Ready" in true:
            self.mark("the pod is ready")


def one_round(kubectl: Kubectl, api: Api, url: str) -> dict[str, float]:
    """Apply a Pipeline in a new namespace and wait for its answer; seconds of each step."""
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": kubectl.namespace}})
    seen = Seen(api, kubectl.namespace)
    began = time.monotonic()
    kubectl.apply(bikes_from(url, replicas=1, cpus=1))
    seen.mark(STEPS[0])
    await_answer(api, kubectl.namespace)
    seen.mark(STEPS[-1])
    api.call("DELETE", f"/api/v1/namespaces/{kubectl.namespace}")
    while api.get(f"/api/v1/namespaces/{kubectl.namespace}"):
        time.sleep(0.2)
    return {step: seen.times[step] - began for step in STEPS}


def await_answer(api: Api, namespace: str) -> None:
    """Ask the Service until it answers."""
    path = f"/api/v1/namespaces/{namespace}/services/{NAME}"
    while (service := api.get(path)) is None:
        time.sleep(0.05)
    url = f"http://{service['spec']['clusterIP']}:8080/pipelines/{NAME}"
    end = time.monotonic() + LONGEST
    with urllib3.PoolManager(retries=False, timeout=5) as pool:
        while time.monotonic() < end:
            with suppress(urllib3.exceptions.HTTPError):
                if pool.request("POST", url, json=[bike_record()]).status == 200:
                    return
            time.sleep(0.02)
    sys.exit(f"no answer in {LONGEST:.0f} s")


def resident(kubectl: Kubectl, selector: str) -> float:
    """Megabytes of memory that the processes of pods have to themselves or share."""
    total = 0
    for pod in kubectl.get("pods", f"--selector={selector}")["items"]:
        for process in cgroups.processes(pod["metadata"]["uid"]):
            told = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(told.partition("\nPss:")[2].split()[0])
    return total * 1024 / 1e6


@contextmanager
def cluster(folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane with a node and our definitions."""
    with running_node(folder, find(WITH_NODE)) as processes:
        install_crds(processes.plane)
        yield processes.plane


def measure(rounds: int, rest: float) -> None:
    """Print what one run finds."""
    with tempfile.TemporaryDirectory() as home, cluster(Path(home) / "plane") as plane:
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig, RELEASE)
        helm = Helm(find(WITH_NODE)["helm"], Path(home), RELEASE, plane.kubeconfig)
        began = time.monotonic()
        install(helm, kubectl, "--create-namespace")
        print(f"helm until the operator is ready: {time.monotonic() - began:.1f} s")
        time.sleep(rest)
        print(f"operator at rest after {rest:.0f} s: {resident(kubectl, OPERATOR):.0f} MB")
        with closing(plane.api()) as api, shelf(str(HOST), MODELS) as url:
            found = [
                one_round(Kubectl(plane.kubectl, plane.kubeconfig, f"round-{number}"), api, url)
                for number in range(rounds)
            ]
    tell(found)
    for name in ("engine", "operator"):
        megabytes = images.added(images.opened(), images.name_of(name)) / 1e6
        print(f"image of the {name}: {megabytes:.0f} MB above its base")


def tell(found: list[dict[str, float]]) -> None:
    """Print when each step was done, and how long an engine takes to get ready."""
    print("| seconds from `kubectl apply` until | median | lowest | highest |\n|---|---|---|---|")
    for step in STEPS:
        times = [one[step] for one in found]
        print(f"| {step} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")
    starts = [one["the pod is ready"] - one["the engine starts"] for one in found]
    print(
        f"engine from its start to ready: {statistics.median(starts):.2f} s ({len(found)} rounds)"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="Pipelines that are applied")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds before memory is read")
    given = parser.parse_args()
    measure(given.rounds, given.rest)


if __name__ == "__main__":
    main()
