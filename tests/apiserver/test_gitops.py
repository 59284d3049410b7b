"""What GitOps tools see and do: kstatus and Argo CD at every moment, applying again."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from argocd import health
from beside import again_and_again
from bikes import NAME, await_condition, await_ready, bikes, condition, writes
from cluster.api import Api
from cluster.binaries import Binaries
from cluster.plane import ControlPlane
from helm import ROOT
from kubectl import Kubectl
from tiltyard_operator.kinds import PIPELINE
from waiting import await_that

Object = dict[str, Any]

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(300),
]
WRONG = "0" * 64


@contextmanager
def recorded(api: Api, namespace: str) -> Iterator[list[Object]]:
    """Collect every state that Pipelines of a namespace are in, until the block ends."""
    states: list[Object] = []
    path = PIPELINE.path(namespace)
    version = api.call("GET", path)["metadata"]["resourceVersion"]
    end = f"{NAME}-end"

    def follow() -> None:
        for event in api.watch(path, version, seconds=280):
            if event["object"]["metadata"]["name"] == end:
                return
            states.append(event["object"])

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield states
    finally:
        last = bikes()
        last["metadata"]["name"] = end
        last["spec"]["suspend"] = True
        api.call("POST", path, last)
        thread.join()


def kstatus(binaries: Binaries, states: list[Object]) -> list[str]:
    """What the library computes of each."""
    text = "\n".join(map(json.dumps, states))
    done = subprocess.run(
        [binaries["kstatus"]], input=text, capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in done.stdout.splitlines()]


def changes(said: list[str]) -> list[str]:
    """Leave out repetitions."""
    return [one for one, _ in groupby(said)]


def with_digest(digest: str) -> Object:
    document = bikes()
    document["spec"]["models"][1]["source"]["sha256"] = digest
    return document


def test_every_state_of_a_pipelines_life_is_told_as_it_is(
    kubectl: Kubectl, api: Api, binaries: Binaries, namespace: str
) -> None:
    ends: dict[str, int] = {}
    suspended = bikes() | {"spec": {**bikes()["spec"], "suspend": True}}
    with recorded(api, namespace) as states:

        def until(name: str, kind: str, status: str, reason: str, document: Object) -> None:
            kubectl.apply(document)
            await_condition(kubectl, kind, status, reason)
            await_that(lambda: not condition(kubectl.get("typ", NAME), "Reconciling"))
            version = kubectl.get("typ", NAME)["metadata"]["resourceVersion"]
            await_that(lambda: version in [one["metadata"]["resourceVersion"] for one in states])
            ends[name] = len(states)

        until("created", "Ready", "True", "Serving", bikes())
        until("weights", "Ready", "True", "Serving", bikes((1, 3)))
        until("bad", "Stalled", "True", "DigestMismatch", with_digest(WRONG))
        until("mended", "Ready", "True", "Serving", bikes((1, 3)))
        until("suspended", "Ready", "False", "Suspended", suspended)
    said = kstatus(binaries, states)
    healths = [health(one)[0] for one in states]
    story: dict[str, tuple[list[str], list[str]]] = {}
    begin = 0
    for name, end in ends.items():
        story[name] = changes(said[begin:end]), changes(healths[begin:end])
        begin = end
    good = (["InProgress", "Current"], ["Progressing", "Healthy"])
    assert story["created"] == good
    assert story["weights"] == good
    assert story["bad"] == (["InProgress", "Failed"], ["Progressing", "Degraded"])
    assert story["mended"] == good
    assert story["suspended"] == (["InProgress"], ["Progressing", "Suspended"])
    for state, current in zip(states, said, strict=True):
        ready = condition(state, "Ready").get("status") == "True"
        assert ready or current != "Current", state["status"]


def written_in(plane: ControlPlane, namespace: str) -> list[str]:
    return writes(plane.audit_log, namespace)


def at_rest(plane: ControlPlane, namespace: str) -> bool:
    """Whether the operator writes nothing for a while: what a rollout left over is gone."""
    before = written_in(plane, namespace)
    time.sleep(3)
    return written_in(plane, namespace) == before


@pytest.mark.parametrize(
    ("pause", "rounds"),
    [
        pytest.param(0.5, 6, id="short"),
        pytest.param(5.0, 24, id="long", marks=(pytest.mark.full, pytest.mark.timeout(600))),
    ],
)
@pytest.mark.parametrize("how", [(), ("--server-side", "--field-manager=flux")], ids=["cs", "ss"])
def test_applying_the_same_again_and_again_changes_nothing(
    kubectl: Kubectl,
    control_plane: ControlPlane,
    tmp_path: Path,
    how: tuple[str, ...],
    pause: float,
    rounds: int,
) -> None:
    manifest = tmp_path / "pipeline.yaml"
    refused: list[str] = []

    def manage() -> None:
        done = kubectl.run("apply", *how, f"--filename={manifest}")
        if done.returncode:
            refused.append(done.stderr)

    manifest.write_text(yaml.safe_dump(bikes(replicas=2)))
    kubectl("apply", *how, f"--filename={manifest}")
    with again_and_again(manage, pause):
        assert await_ready(kubectl)["metadata"]["generation"] == 1
        other = bikes((1, 3), replicas=1)
        other["spec"]["models"][0]["threads"] = 2  # a new plan: pods are replaced
        fresh = manifest.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(other))
        fresh.replace(manifest)
        await_that(lambda: kubectl.get("typ", NAME)["metadata"]["generation"] == 2)
        await_ready(kubectl)
        await_that(lambda: at_rest(control_plane, kubectl.namespace), 60)
        before, written = kubectl.get("typ", NAME), written_in(control_plane, kubectl.namespace)
        time.sleep(pause * rounds)
        after = kubectl.get("typ", NAME)
    assert refused == []
    assert after["metadata"]["generation"] == 2
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert written_in(control_plane, kubectl.namespace) == written


def test_the_health_checks_are_added_to_argo_cds_configuration_and_leave_the_rest(
    kubectl: Kubectl,
) -> None:
    configured = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}}
    kubectl.apply({**configured, "data": {"url": "https://argocd.example.com"}})
    text = kubectl("kustomize", str(ROOT / "gitops/argocd"))
    (made,) = yaml.safe_load_all(text)
    assert made["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}
    made["metadata"]["namespace"] = kubectl.namespace
    flags = ["--type=merge", "--patch-file=/dev/stdin"]
    kubectl("patch", "configmap", "argocd-cm", *flags, stdin=yaml.safe_dump(made))
    data = kubectl.get("configmap", "argocd-cm")["data"]
    assert data.pop("url") == "https://argocd.example.com"
    assert data == {
        f"resource.customizations.health.tiltyard.dev_{kind}": path.read_text()
        for kind in ("Pipeline", "Model")
        for path in [ROOT / "gitops/argocd" / kind / "health.lua"]
    }


@pytest.mark.parametrize("broken", ["", " &&"], ids=["as shipped", "broken"])
def test_the_expressions_for_flux_are_ones_that_kubernetes_can_compile(
    kubectl: Kubectl, broken: str
) -> None:
    text = (ROOT / "gitops/flux/flux.yaml").read_text()
    (kustomization,) = (one for one in yaml.safe_load_all(text) if one["kind"] == "Kustomization")
    (check,) = kustomization["spec"]["healthCheckExprs"]
    expressions = [check[name] for name in ("current", "failed", "inProgress")]
    rule = {"apiGroups": ["tiltyard.dev"], "apiVersions": ["*"], "resources": ["pipelines"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"{kubectl.namespace}-flux"},
        "spec": {
            "matchConstraints": {"resourceRules": [{**rule, "operations": ["UPDATE"]}]},
            "validations": [
                {"expression": re.sub(r"(?<!\.)\b(status|metadata)\.", r"object.\1.", one) + broken}
                for one in expressions
            ],
        },
    }
    flags = ["--dry-run=server", "--filename=-"]
    done = kubectl.run("create", *flags, stdin=yaml.safe_dump(policy))
    assert (done.returncode == 0) == (broken == ""), done.stderr
