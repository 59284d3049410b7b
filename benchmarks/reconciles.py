"""Measure the operator on a real API server of its own: `benchmarks/reconciles.py`.

    .venv/bin/python benchmarks/reconciles.py --pipelines 1000 --rest 60

The peer is a bare loop, one thread that sends the very applies that the operator sends and nothing
else: no watch, no read, no status. It runs half before and half after the operator, on the same
control plane. The README beside this file says how to read the figures.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/support")]

from cluster.api import MERGE, Api  # noqa: E402 - the path has to be set first
from cluster.binaries import find  # noqa: E402 - likewise
from cluster.crds import install_crds  # noqa: E402 - likewise
from cluster.plane import ControlPlane, running  # noqa: E402 - likewise
from faultproxy.proxy import FaultProxy, Write  # noqa: E402 - likewise
from operators import OperatorProcess, Operators, configuration  # noqa: E402 - likewise
from planted import plant  # noqa: E402 - likewise
from tiltyard_api.resolved import GraphTensor, ResolvedModel  # noqa: E402 - likewise
from tiltyard_api.v1alpha1.models import ModelEntry  # noqa: E402 - likewise
from tiltyard_operator.cluster import Cluster  # noqa: E402 - likewise
from tiltyard_operator.kinds import DEPLOYMENT, PIPELINE  # noqa: E402 - likewise
from waiting import await_that  # noqa: E402 - likewise

Object = dict[str, Any]

MODELS = [
    {"name": name, "framework": "onnx", "source": {"uri": f"https://models/{name}.onnx"}}
    for name in ("champion", "challenger")
]
VARIANTS = [{"model": "champion", "weight": 9}, {"model": "challenger", "weight": 1}]
SPEC: Object = {
    "models": MODELS,
    "steps": [{"name": "price", "split": {"hashKey": {"field": "user"}, "variants": VARIANTS}}],
    "deployment": {"replicas": 1, "cpus": 0.5, "memory": "1Gi"},
}
FIRST = "p00000"
"""The Pipeline whose writes are recorded."""

LONGEST = 1800.0
LOOKS_EVERY = 0.5


@dataclass
class Figures:
    """What one run found."""

    pipelines: int
    applies: int = 0
    """For each Pipeline."""

    bare_seconds: float = 0.0
    cold_seconds: float = 0.0
    cold_cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    change_ms: list[float] = field(default_factory=list)
    rest_seconds: float = 0.0
    rest_writes: list[str] = field(default_factory=list)
    reconciles: float = 0.0

    def lines(self) -> list[str]:
        """Figures as people read them."""
        total = self.pipelines * self.applies
        change = statistics.median(self.change_ms)
        cpu = self.cold_cpu_seconds * 1000 / self.pipelines
        looks = self.reconciles / self.pipelines
        times = self.cold_seconds / self.bare_seconds
        rows = {
            "Pipelines": f"{self.pipelines}, {self.applies} applies each",
            "bare loop": f"{self.bare_seconds:.1f} s, {total / self.bare_seconds:.0f}/s",
            "operator, cold": f"{self.cold_seconds:.1f} s, {total / self.cold_seconds:.0f}/s",
            "beside the bare loop": f"x{times:.2f} (at most x1.5)",
            "processor time": f"{cpu:.0f} ms a Pipeline, {looks:.1f} looks at each",
            "memory at its most": f"{self.peak_mb:.0f} MB (at most 200)",
            "change of cpus, p50": f"{change:.0f} ms (at most 200)",
            "change of cpus, worst": f"{max(self.change_ms):.0f} ms",
            "writes at rest": f"{len(self.rest_writes)} in {self.rest_seconds:.0f} s (none)",
        }
        return [*(f"{name:22} {said}" for name, said in rows.items()), *self.rest_writes[:5]]


class Bench:
    """A control plane and what is asked of it."""

    def __init__(self, plane: ControlPlane, directory: Path, pipelines: int) -> None:
        self.plane = plane
        self.directory = directory
        self.figures = Figures(pipelines)
        self.names = [f"p{number:05}" for number in range(pipelines)]
        self.cluster = Cluster(configuration(plane.kubeconfig), lambda: True)

    def run(self, api: Api, changes: int, rest: float) -> None:
        """Do everything once."""
        half = len(self.names) // 2
        _tell("recording what the operator applies for one Pipeline")
        writes = self.record(api)
        _tell(f"the bare loop, first half: {half} Pipelines, {len(writes)} applies each")
        self.bare(api, "bare-before", self.names[:half], writes)
        _tell(f"the operator, cold: {len(self.names)} Pipelines")
        operator = self.cold(api)
        _tell(f"{changes} changes of cpus")
        self.change(api, changes)
        _tell(f"{rest:.0f} s of rest")
        self.rest(operator, rest)
        self.figures.peak_mb = _peak_mb(operator)
        operator.stop()
        _tell("the bare loop, second half")
        self.bare(api, "bare-after", self.names[half:], writes)

    def namespace(self, api: Api, name: str) -> None:
        """Make a namespace in which the models have been tried already."""
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for model in MODELS:
            plant(api, name, ModelEntry.model_validate(model), _found(str(model["name"])))

    def create(self, api: Api, namespace: str, names: Sequence[str]) -> dict[str, str]:
        """Create Pipelines; the uid of each."""
        head = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.kind, "spec": SPEC}
        path = PIPELINE.path(namespace)
        made = [api.call("POST", path, {**head, "metadata": {"name": name}}) for name in names]
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in made}

    def _operators(self, namespace: str) -> Operators:
        folder = self.directory / namespace
        folder.mkdir()
        return Operators(self.plane, namespace, folder)

    def record(self, api: Api) -> list[Write]:
        """Applies that the operator sends for one Pipeline."""
        self.namespace(api, "record")
        with FaultProxy().running(self.plane) as proxy:
            operators = self._operators("record")
            operators.start(url=proxy.url).await_work()
            (self.uid,) = self.create(api, "record", [FIRST]).values()
            await_that(lambda: api.get(DEPLOYMENT.path("record", FIRST)), 60)
            time.sleep(5)  # what follows are statuses of objects that are there
            operators.stop()
            writes = [one for one in proxy.writes if one.asked.subresource != "status"]
        self.figures.applies = len(writes)
        return writes

    def bare(self, api: Api, namespace: str, names: Sequence[str], writes: list[Write]) -> None:
        """Send the applies of some Pipelines, one after the other."""
        self.namespace(api, namespace)
        uids = self.create(api, namespace, names)
        objects = [
            [_renamed(write, namespace, name, self.uid, uids[name]) for write in writes]
            for name in names
        ]
        started = time.monotonic()
        for one in objects:
            for obj in one:
                self.cluster.apply(obj)
        self.figures.bare_seconds += time.monotonic() - started

    def cold(self, api: Api) -> OperatorProcess:
        """Start the operator beside Pipelines that have nothing yet."""
        self.namespace(api, "cold")
        self.create(api, "cold", self.names)
        operators = self._operators("cold")
        total = self.figures.applies * self.figures.pipelines
        started = time.monotonic()
        operator = operators.start().await_work()
        while _applied(operator) < total or len(self.cluster.names(DEPLOYMENT, "cold")) < len(
            self.names
        ):
            if time.monotonic() - started > LONGEST or not operator.running:
                raise SystemExit(f"{_applied(operator):.0f} of {total} applies were made")
            time.sleep(LOOKS_EVERY)  # each look costs the operator something
        self.figures.cold_seconds = time.monotonic() - started
        self.figures.cold_cpu_seconds = _cpu_seconds(operator)
        _settle(operator)
        self.figures.reconciles = operator.count("tiltyard_operator_reconciles_total")
        return operator

    def change(self, api: Api, times: int) -> None:
        """Time from a change of cpus to the Deployment's."""
        for number in range(times):
            name = self.names[number * 7 % len(self.names)]
            cpus = 0.6 + number / 100
            one = f"{DEPLOYMENT.path('cold')}?fieldSelector=metadata.name%3D{name}"
            version = api.call("GET", one)["metadata"]["resourceVersion"]
            edit = {"spec": {"deployment": {"cpus": cpus}}}
            wanted = f"{cpus * 1000:.0f}m"
            with closing(api.watch(one, version, 60)) as events:
                started = time.monotonic()
                api.call("PATCH", PIPELINE.path("cold", name), edit, MERGE)
                if not any(_cpus(event["object"]) == wanted for event in events):
                    raise SystemExit(f"{name} did not change")
            self.figures.change_ms.append((time.monotonic() - started) * 1000)

    def rest(self, operator: OperatorProcess, seconds: float) -> None:
        """Count writes while nothing changes."""
        _settle(operator)
        before = self.plane.audit_log.stat().st_size
        time.sleep(seconds)
        with self.plane.audit_log.open() as log:
            log.seek(before)
            lines = [json.loads(line) for line in log if line.endswith("\n")]
        user = "system:serviceaccount:cold:tiltyard-operator"
        self.figures.rest_seconds = seconds
        self.figures.rest_writes = [
            f"{line['verb']} {line['requestURI']}"
            for line in lines
            if line["user"]["username"] == user and "/leases/" not in line["requestURI"]
        ]


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _found(name: str) -> ResolvedModel:
    tensors = [GraphTensor(name=name, type="float32", shape=(-1, 4)) for name in ("x", "y")]
    return ResolvedModel(
        digest=f"{len(name):064x}", size=1000, inputs=(tensors[0],), outputs=(tensors[1],)
    )


def _renamed(write: Write, namespace: str, name: str, old_uid: str, uid: str) -> Object:
    """Give the object of a write for another Pipeline."""
    text = re.sub(rf"\b{FIRST}\b", name, write.asked.body.decode())
    obj: Object = json.loads(text.replace(old_uid, uid))
    obj["metadata"]["namespace"] = namespace
    obj["metadata"].pop("resourceVersion", None)
    return obj


def _applied(operator: OperatorProcess) -> float:
    lines = operator.ask("/metrics").splitlines()
    found = [line for line in lines if re.search(r'verb="(apply|create)"', line)]
    kinds = [line for line in found if not re.search(r'kind="(Lease|Event)"', line)]
    return sum(float(line.rpartition(" ")[2]) for line in kinds)


def _cpus(deployment: Object) -> str:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return str(container["resources"]["limits"]["cpu"])


def _settle(operator: OperatorProcess) -> None:
    """Wait until nothing was written for as long as pods may wait for a node, and looks apart."""
    writes, since = -1.0, time.monotonic()
    begun = since
    while time.monotonic() - since < 50:
        if since - begun > LONGEST:
            raise SystemExit("the operator does not come to rest")
        now = operator.count("tiltyard_operator_writes_total") - operator.count(
            'tiltyard_operator_writes_total{kind="Lease"'
        )
        if now != writes:
            writes, since = now, time.monotonic()
        time.sleep(0.5)


def _cpu_seconds(operator: OperatorProcess) -> float:
    fields = Path(f"/proc/{operator.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _peak_mb(operator: OperatorProcess) -> float:
    status = Path(f"/proc/{operator.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Run everything once and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pipelines", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--rest", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiltyard-reconciles-") as folder:
        directory = Path(folder)
        (directory / "plane").mkdir()
        with running(directory / "plane", find()) as processes:
            install_crds(processes.plane)
            with closing(processes.plane.api()) as api:
                bench = Bench(processes.plane, directory, given.pipelines)
                bench.run(api, given.changes, given.rest)
    print("\n".join(bench.figures.lines()))


if __name__ == "__main__":
    main()
