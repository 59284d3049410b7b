"""What a CustomResourceDefinition without our rules lets through, the operator refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bikes import condition
from cluster.api import Api, ApiError
from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import running
from makers import make_document, make_resolved
from operators import Operators
from planted import plant
from tiltyard_api.manifest import read_pipeline
from tiltyard_operator.decide import MOST_FAULTS
from tiltyard_operator.kinds import CONFIG_MAP, DEPLOYMENT, PIPELINE, SERVICE
from waiting import await_that

Object = dict[str, Any]

TABLE = Path(__file__).parents[1] / "unit/api/bad_manifests.yaml"
FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
GOOD = make_document()
HERE = PIPELINE.path("default", "prices")
MOST_UNKEPT = 6
"""Bad specs of the table that no API server would keep."""


@pytest.fixture
def api(binaries: Binaries, tmp_path: Path) -> Iterator[Api]:
    """A control plane that takes any spec, with an operator and a Pipeline that has its objects."""
    with running(tmp_path / "plane", binaries) as processes:
        install_crds(processes.plane)
        api = processes.plane.api()
        loosen(api)
        operators = Operators(processes.plane, "default", tmp_path)
        try:
            operators.start().await_work()
            for one in read_pipeline(GOOD).spec.models:
                assert one.entry
                plant(api, "default", one.entry, FACTS[one.name])
            api.call("POST", PIPELINE.path("default"), GOOD)
            await_that(lambda: api.get(DEPLOYMENT.path("default", "prices")), 60)
            yield api
        finally:
            operators.stop()
            api.close()


def loosen(api: Api) -> None:
    """Take every rule about the spec out of the definition of Pipelines."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pipelines.tiltyard.dev"
    found = api.call("GET", path)
    (version,) = found["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations", None)
    schema["properties"]["spec"] = {"x-kubernetes-preserve-unknown-fields": True}
    api.call("PUT", path, found)
    probe = {**GOOD, "metadata": {"name": "probe"}, "spec": {"anything": True}}

    def taken() -> bool:
        try:
            api.call("POST", PIPELINE.path("default"), probe)
        except ApiError:
            return False
        api.call("DELETE", PIPELINE.path("default", "probe"))
        return True

    await_that(taken)


def bad_specs() -> Iterator[tuple[str, Object, list[str]]]:
    """What is wrong, the spec, and what is said of it."""
    for row in yaml.safe_load(TABLE.read_text()):
        document = row.get("document", make_document(row.get("set"), row.get("remove", ())))
        if isinstance(document, dict) and isinstance(document.get("spec"), dict):
            differs = {part for part in {*document, *GOOD} if document.get(part) != GOOD.get(part)}
            if differs == {"spec"}:
                yield row["says"], document["spec"], row["faults"]


def versions(api: Api) -> list[str]:
    """Versions of what serves: they change with any write to it."""
    deployment = api.call("GET", DEPLOYMENT.path("default", "prices"))["metadata"]
    others = (SERVICE.path("default", "prices"), CONFIG_MAP.path("default", "prices-routing"))
    found = [api.call("GET", path)["metadata"]["resourceVersion"] for path in others]
    return [str(deployment["generation"]), *found]


def stored(api: Api, document: Object) -> Object:
    """What the API server makes of a change: where it cannot read it, what there was."""
    try:
        return api.call("PUT", HERE, document)
    except ApiError:
        return api.call("GET", HERE)


@pytest.mark.parametrize(
    "every", [pytest.param(15, id="some"), pytest.param(1, id="all", marks=pytest.mark.full)]
)
@pytest.mark.timeout(1200)
def test_what_admission_let_through_is_refused_in_the_same_words_and_changes_nothing(
    api: Api, every: int
) -> None:
    before = versions(api)
    tried = list(bad_specs())[::every]
    assert len(tried) >= 100 // every
    unkept: list[str] = []
    for says, spec, faults in tried:
        live = api.call("GET", HERE)
        live = stored(api, {**live, "spec": spec})
        if live["spec"] != spec:
            unkept.append(says)  # a number that the API server cannot keep, or that is no JSON
            continue

        def stalled(faults: list[str] = faults) -> bool:
            found = condition(api.call("GET", HERE), "Stalled")
            told = found.get("message", "")
            return found.get("reason") == "Invalid" and all(
                one in told for one in faults[:MOST_FAULTS]
            )

        try:
            await_that(stalled)
        except AssertionError as error:
            raise AssertionError(f"{says}: {api.call('GET', HERE)['status']}") from error
        assert versions(api) == before, says
    assert len(unkept) <= MOST_UNKEPT, unkept
    live = api.call("GET", HERE)
    api.call("PUT", HERE, {**live, "spec": GOOD["spec"]})
    await_that(lambda: condition(api.call("GET", HERE), "Accepted").get("status") == "True")
    assert not condition(api.call("GET", HERE), "Stalled")
    assert versions(api) == before
