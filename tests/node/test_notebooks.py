"""Notebooks against a cluster: the very cells that run on a laptop, with another connection."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.api import Api
from cluster.node.node import Node
from kubectl import Kubectl
from notebooks import NOTEBOOKS, run_notebook
from object_stores import S3Server, s3_server
from pods import namespace_of_its_own, secret

pytestmark = [pytest.mark.timeout(3600), pytest.mark.xdist_group("node"), pytest.mark.full]

BUCKET, SECRET = "team", "team-s3"


@pytest.fixture
def bucket(node: Node) -> Iterator[S3Server]:
    """A store that both this machine and pods reach."""
    with s3_server(node.host) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def run_in_cluster(bucket: S3Server, tmp_path: Path) -> Callable[[str, Kubectl], None]:
    """Run a notebook as its reader does with a kubeconfig and a bucket of his own."""

    def run(name: str, kubectl: Kubectl) -> None:
        secret(kubectl, SECRET, bucket.variables())
        kubeconfig = yaml.safe_load(kubectl.kubeconfig.read_text())
        for context in kubeconfig["contexts"]:
            context["context"]["namespace"] = kubectl.namespace
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        run_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path,
            KUBECONFIG=str(tmp_path / "kubeconfig"),
            TILTYARD_STORE=f"s3://{BUCKET}/models",
            TILTYARD_STORE_SECRET=SECRET,
            **bucket.variables(),
        )

    return run


def pipelines(kubectl: Kubectl) -> dict[str, str]:
    """Names and phases of what a notebook has left."""
    found = kubectl.get("pipelines")["items"]
    return {one["metadata"]["name"]: one["status"]["phase"] for one in found}


def test_the_forecast_is_split_shadowed_replaced_and_rolled_back(
    run_in_cluster: Callable[[str, Kubectl], None], kubectl: Kubectl, api: Api
) -> None:
    with namespace_of_its_own(api, "forecasts"):  # the workspace that the notebook names
        there = replace(kubectl, namespace="forecasts")
        run_in_cluster("000-forecast", there)
        assert pipelines(there) == {"rental-forecast": "Suspended"}
        assert len(there.get("models")["items"]) == 3


def test_four_ways_to_try_a_model_work_in_a_cluster(
    run_in_cluster: Callable[[str, Kubectl], None], kubectl: Kubectl, api: Api
) -> None:
    name = f"ways-{secrets.token_hex(4)}"
    with namespace_of_its_own(api, name):
        there = replace(kubectl, namespace=name)
        run_in_cluster("004-four-ways", there)
        left = dict.fromkeys(["ab", "lists", "shadow"], "Suspended")
        assert pipelines(there) == left | {"canary": "Stalled"}, "its candidate was rolled back"
