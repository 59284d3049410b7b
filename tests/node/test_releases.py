"""A Helm release on a node: upgraded, gone and back, and two side by side; pods never notice."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bikes import NAME, await_ready
from cluster.api import Api
from cluster.node.images import name_of
from helm import CHART, ROOT, Helm, columns, older_chart, parsed
from installed import RELEASE, await_operator, images, install
from kubectl import Kubectl
from pods import ROLLS_SECONDS, bikes_from, engines
from waiting import await_that

Object = dict[str, Any]
UnderTraffic = Callable[[Callable[[], None]], None]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

BREAKS_THE_NODE = True
"""See `turn` in conftest.py."""


@pytest.fixture
def no_release(helm: Helm, tiltyard: Kubectl) -> Iterator[None]:
    """No operator of ours is there at first; at the end there is the one of all tests again."""
    helm("uninstall", RELEASE, "--wait")
    yield
    install(helm, tiltyard)


def starts(kubectl: Kubectl) -> dict[str, int]:
    """Which pods there are, and how often each was started."""
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in engines(kubectl)
    }


def share_of_rf(pipeline: Object) -> float:
    """Share that the second model has in force."""
    return float(pipeline["status"]["steps"][0]["variants"][1]["effective"])


def test_an_upgrade_with_other_definitions_restarts_no_pod(
    helm: Helm, tiltyard: Kubectl, kubectl: Kubectl, tmp_path: Path, models: str
) -> None:
    helm("uninstall", RELEASE, "--wait")
    install(helm, tiltyard, chart=older_chart(tmp_path / "older"))
    assert len(columns(kubectl)) == 1
    kubectl.apply(bikes_from(models))
    await_ready(kubectl, ROLLS_SECONDS)
    before = starts(kubectl)
    assert len(before) == 2
    install(helm, tiltyard)
    assert len(columns(kubectl)) > 1
    kubectl.apply(bikes_from(models, (1, 3)))
    assert share_of_rf(await_ready(kubectl, ROLLS_SECONDS)) == 0.75
    assert starts(kubectl) == before


@pytest.mark.usefixtures("pipeline")
def test_pipelines_outlive_the_release_and_the_next_one_takes_them_up(
    helm: Helm, tiltyard: Kubectl, kubectl: Kubectl, models: str, under_traffic: UnderTraffic
) -> None:
    before = starts(kubectl)

    def replace() -> None:
        assert "pipelines.tiltyard.dev" in helm("uninstall", RELEASE, "--wait")
        await_that(lambda: not tiltyard.get("pods")["items"], ROLLS_SECONDS)
        assert kubectl.get("typ", NAME)["status"]["phase"] == "Running"
        install(helm, tiltyard)
        kubectl.apply(bikes_from(models, (3, 3)))
        await_ready(kubectl, ROLLS_SECONDS)

    under_traffic(replace)
    assert starts(kubectl) == before


@pytest.fixture
def sites(kubectl: Kubectl, api: Api) -> Iterator[list[Kubectl]]:
    """Two namespaces."""
    names = [f"site-{secrets.token_hex(4)}" for _ in range(2)]
    for name in names:
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield [Kubectl(kubectl.program, kubectl.kubeconfig, name) for name in names]
    for name in names:
        api.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.mark.usefixtures("no_release")
def test_two_releases_each_serve_their_own_namespace(
    helm: Helm, sites: list[Kubectl], models: str
) -> None:
    for number, site in enumerate(sites):
        values = ("--set=scope=Namespace", f"--set=crds.install={'false' if number else 'true'}")
        flags = ("--take-ownership", "--force-conflicts")
        helm.at(site.namespace)("install", f"site-{number}", CHART, *flags, *images(), *values)
        await_operator(site)
        site.apply(bikes_from(models, replicas=1))
    for site in sites:
        await_ready(site, ROLLS_SECONDS)
    first, second = sites
    before = starts(second)
    helm.at(second.namespace)("uninstall", "site-1", "--wait")
    for site in sites:
        site.apply(bikes_from(models, (1, 3), replicas=1))
    assert share_of_rf(await_ready(first, ROLLS_SECONDS)) == 0.75
    left = second.get("typ", NAME)
    assert left["status"]["observedGeneration"] < left["metadata"]["generation"]
    assert share_of_rf(left) == 0.5
    assert starts(second) == before
    helm.at(first.namespace)("uninstall", "site-0", "--wait")


KEPT = {"CustomResourceDefinition", "Namespace"}


def with_our_images(obj: Object) -> Object:
    """Give an object of the plain manifests, the operator's Deployment with the images of here."""
    if obj["kind"] == "Deployment":
        (container,) = obj["spec"]["template"]["spec"]["containers"]
        container["image"] = name_of("operator")
        (engine,) = [one for one in container["env"] if one["name"] == "TILTYARD_ENGINE_IMAGE"]
        engine["value"] = name_of("engine")
    return obj


@pytest.mark.usefixtures("no_release")
def test_the_plain_manifests_do_as_well(tiltyard: Kubectl, kubectl: Kubectl, models: str) -> None:
    whole = parsed(tiltyard("kustomize", f"{ROOT / 'config/cluster'}"))
    text = yaml.safe_dump_all([with_our_images(one) for one in whole])
    tiltyard("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)
    await_operator(tiltyard)
    kubectl.apply(bikes_from(models, replicas=1))
    await_ready(kubectl, ROLLS_SECONDS)
    ours = yaml.safe_dump_all([one for one in whole if one["kind"] not in KEPT])
    tiltyard("delete", "--filename=-", "--wait=true", stdin=ours)
