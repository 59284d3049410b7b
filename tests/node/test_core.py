"""The least that a node must show: install, apply, ask, change weights, roll, and lose nothing."""

from typing import Any

import pytest
import urllib3
import yaml

from bikes import NAME, await_ready
from engines import EXAMPLES
from kubectl import Kubectl
from manifests import bike_record
from pods import ROLLS_SECONDS, address, engines
from steady import judge, steady
from switches import uids
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node")]

EXAMPLE = EXAMPLES / "bike-demand/pipeline.yaml"
RATE = 50
"""Requests a second: more than enough to notice a gap, few enough for a machine with much to do."""


def example(models: str, weights: tuple[float, float]) -> Object:
    """Give the example with other weights, models that come by HTTP, and pods that fit here."""
    document: Object = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = NAME
    spec = document["spec"]
    for model in spec["models"]:
        model["source"]["uri"] = model["source"]["uri"].replace("file:models", models)
    for variant, weight in zip(spec["steps"][0]["split"]["variants"], weights, strict=True):
        variant["weight"] = weight
    spec["deployment"]["cpus"] = 0.3
    return document


def variant_of(kubectl: Kubectl) -> str:
    """Who answers a request through the Service."""
    url = f"http://{address(kubectl)}/pipelines/{NAME}"
    answer = urllib3.request("POST", url, json=[bike_record(rider="rider-1")], timeout=30)
    assert answer.status == 200
    assert len(answer.json()[0]["out"]["bikers"]) == 1
    return answer.headers["X-Tiltyard-Variant"]


def test_an_example_is_served_reweighted_and_rolled(kubectl: Kubectl, models: str) -> None:
    kubectl.apply(example(models, (1, 0)))
    await_ready(kubectl, ROLLS_SECONDS)
    assert variant_of(kubectl) == "demand=bike-gb"
    before = uids(engines(kubectl))
    assert len(before) == 2
    document = example(models, (0, 1))
    kubectl.apply(document)
    await_ready(kubectl, ROLLS_SECONDS)
    assert variant_of(kubectl) == "demand=bike-rf"
    assert uids(engines(kubectl)) == before
    document["spec"]["models"][0]["timeout"] = "4s"
    with steady(
        address(kubectl), f"/pipelines/{NAME}", lambda _: "demand=bike-rf", RATE
    ) as traffic:
        await_that(lambda: traffic.reached(20), ROLLS_SECONDS)
        kubectl.apply(document)
        await_that(lambda: not before & uids(engines(kubectl)), ROLLS_SECONDS)
        await_ready(kubectl, ROLLS_SECONDS)
        answered = traffic.answered
        await_that(lambda: traffic.reached(answered + 20), ROLLS_SECONDS)
    judge(traffic)
