"""A Helm release on a real API server: installed, upgraded, gone and back."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bikes import NAME, await_condition, await_ready, bikes, file_of
from cluster.api import Api
from cluster.binaries import Binaries
from cluster.plane import ControlPlane, running
from goldens import GOLDEN
from helm import CHART, ROOT, Helm, columns, older_chart, parsed
from kubectl import Kubectl
from localnode.node import LABEL, running_node
from operators import ACCOUNT
from releases import ReleasedOperators

Object = dict[str, Any]
CASES = sorted(path.name for path in (GOLDEN / "chart").iterdir())
OTHERS = {"PodMonitor", "PrometheusRule"}
"""Kinds whose definitions are not ours and not Kubernetes'."""


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_every_object_and_all_their_fields(
    binaries: Binaries, kubectl: Kubectl, tmp_path: Path, case: str
) -> None:
    helm = Helm(binaries["helm"], tmp_path, kubectl.namespace)
    values = f"--values={GOLDEN / 'chart' / case / 'values.yaml'}"
    objects = parsed(helm("template", "tiltyard", CHART, values))
    ours = [one for one in objects if one["kind"] not in OTHERS]
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, restricted)
    flags = ["--server-side", "--dry-run=server", "--validate=strict", "--filename=-"]
    said = kubectl.run("apply", *flags, stdin=yaml.safe_dump_all(ours))
    assert said.returncode == 0, said.stderr
    assert "Warning" not in said.stderr  # such as that Pod Security would refuse pods
    assert len(said.stdout.splitlines()) == len(ours)


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
def test_the_plain_manifests_can_be_applied(kubectl: Kubectl, tmp_path: Path, scope: str) -> None:
    base = f"{ROOT / 'config' / scope}"
    if scope == "namespace":
        about = {"namespace": kubectl.namespace, "resources": [os.path.relpath(base, tmp_path)]}
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(about))
        base = str(tmp_path)
    text = kubectl("kustomize", base).replace("space: tiltyard", f"space: {kubectl.namespace}")
    rendered = [one for one in parsed(text) if one["kind"] != "Namespace"]
    subjects = [subject for one in rendered for subject in one.get("subjects", ())]
    assert {one["namespace"] for one in subjects} == {kubectl.namespace}
    flags = ["--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts"]
    said = kubectl("apply", *flags, "--filename=-", stdin=yaml.safe_dump_all(rendered))
    assert f"deployment.apps/{ACCOUNT} serverside-applied" in said


@pytest.fixture
def plane(binaries: Binaries, tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane without our definitions: the chart is to bring them."""
    with running(tmp_path / "plane", binaries) as processes:
        yield processes.plane


@pytest.fixture
def helm(binaries: Binaries, plane: ControlPlane, tmp_path: Path) -> Helm:
    return Helm(binaries["helm"], tmp_path / "helm", "tiltyard", plane.kubeconfig)


@pytest.fixture
def released(plane: ControlPlane, tmp_path: Path) -> Iterator[ReleasedOperators]:
    operators = ReleasedOperators(plane, tmp_path)
    yield operators
    operators.stop()


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The chart as an older one would be: with definitions that know less."""
    return older_chart(tmp_path / "previous")


@pytest.fixture
def shop(plane: ControlPlane) -> Kubectl:
    """A namespace whose pods run."""
    api = plane.api()
    selector = {"scheduler.alpha.kubernetes.io/node-selector": f"{LABEL}=shop"}
    for name, annotations in (("tiltyard", {}), ("shop", selector)):
        about = {"metadata": {"name": name, "annotations": annotations}}
        api.call("POST", "/api/v1/namespaces", about)
    api.close()
    return Kubectl(plane.kubectl, plane.kubeconfig, "shop")


def serving(kubectl: Kubectl) -> tuple[Object, list[str]]:
    """What must not change: the template of the pods, and the pods."""
    selector = "--selector=app.kubernetes.io/name=tiltyard-engine"
    pods = [one["metadata"]["uid"] for one in kubectl.get("pods", selector)["items"]]
    return kubectl.get("deployment", NAME)["spec"]["template"], sorted(pods)


@pytest.mark.timeout(400)
def test_pipelines_outlive_an_upgrade_and_the_release_itself(
    plane: ControlPlane,
    helm: Helm,
    shop: Kubectl,
    previous: Path,
    released: ReleasedOperators,
    tmp_path: Path,
) -> None:
    with running_node(plane, "shop", tmp_path / "node"):
        engine = "--set=engine.image.tag=same"
        notes = helm("install", "tiltyard", previous, engine)
        assert "helm test tiltyard --namespace tiltyard" in notes
        shop("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        old_columns = columns(shop)
        operator = released.start("tiltyard")
        shop.apply(bikes())
        await_ready(shop)
        served = serving(shop)
        assert len(served[1]) == 1

        helm("upgrade", "tiltyard", CHART, engine)
        assert len(columns(shop)) > len(old_columns) == 1
        operator.stop()
        operator = released.start("tiltyard")
        shop("patch", "typ", NAME, "--type=merge", '--patch={"spec": {"suspend": false}}')
        await_ready(shop)
        assert serving(shop) == served

        assert "pipelines.tiltyard.dev" in helm("uninstall", "tiltyard")
        operator.stop()
        assert not shop.run("get", "clusterrole", ACCOUNT).stdout
        assert shop.get("typ", NAME)["status"]["phase"] == "Running"
        assert serving(shop) == served

        helm("install", "tiltyard", CHART, engine)
        operator = released.start("tiltyard")
        shop.apply(bikes((1, 3)))
        pipeline = await_ready(shop)
        assert pipeline["status"]["steps"][0]["variants"][1]["effective"] == 0.75
        assert serving(shop) == served
        shop("delete", "namespace", "shop", "--timeout=60s")
        operator.stop()


@pytest.mark.timeout(300)
def test_two_releases_each_serve_their_own_namespace(
    plane: ControlPlane, helm: Helm, shop: Kubectl, released: ReleasedOperators
) -> None:
    bank = Kubectl(plane.kubectl, plane.kubeconfig, "bank")
    bank("create", "namespace", "bank")
    helm.at("shop")("install", "first", CHART, "--set=scope=Namespace")
    helm.at("bank")("install", "second", CHART, "--set=scope=Namespace,crds.install=false")
    shop("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    operators = [released.start(name) for name in ("shop", "bank")]
    absent = bikes()
    for model in absent["spec"]["models"]:
        model["source"]["uri"] = file_of("none")
    for kubectl in (shop, bank):
        kubectl.apply(absent)
    for kubectl in (shop, bank):
        await_condition(kubectl, "Accepted", "True", "Valid")
    operators[1].stop()
    helm.at("bank")("uninstall", "second")
    patch = '--patch={"spec": {"suspend": true}}'
    for kubectl in (bank, shop):
        kubectl("patch", "typ", NAME, "--type=merge", patch)
    await_condition(shop, "Accepted", "True", "Valid")
    left = bank.get("typ", NAME)
    assert left["status"]["observedGeneration"] < left["metadata"]["generation"]
    assert not bank.run("get", "clusterrole", ACCOUNT).stdout
    assert not bank.run("get", "role,rolebinding,serviceaccount", ACCOUNT).stdout
    assert shop.run("get", "lease", ACCOUNT).stdout
    operators[0].stop()


def test_definitions_that_were_applied_by_hand_can_be_taken_over(
    plane: ControlPlane, helm: Helm, shop: Kubectl
) -> None:
    shop("apply", "--server-side", f"--filename={ROOT / 'crds'}")
    refused = helm.run("install", "tiltyard", CHART)
    assert "invalid ownership metadata" in refused.stderr
    helm("install", "tiltyard", CHART, "--take-ownership", "--force-conflicts")
    api: Api = plane.api()
    owner = api.call(
        "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/models.tiltyard.dev"
    )["metadata"]["annotations"]["meta.helm.sh/release-name"]
    api.close()
    assert owner == "tiltyard"
