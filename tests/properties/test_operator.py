"""What holds for every Pipeline that the operator builds objects of."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from makers import Document, make_document, make_resolved
from sights import decided, objects_of, plain
from tiltyard_operator.desired.metadata import (
    Owner,
    plan_name,
    resolve_name,
    revision_name,
    routing_name,
)
from tiltyard_operator.drift import amount, covers
from tiltyard_operator.kinds import Object
from tiltyard_operator.owners import DERIVED

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?", fullmatch=True)
HASHES = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)

DEPLOYMENTS = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.floats(0.05, 64).map(lambda cpus: round(cpus, 3)),
        "memory": st.sampled_from(["1Gi", "1536Mi", "2G", "0.5Gi"]),
        "replicas": st.integers(0, 1000),
        "pod": st.fixed_dictionaries(
            {},
            optional={
                "labels": st.dictionaries(st.sampled_from(["team", "app"]), NAMES),
                "nodeSelector": st.dictionaries(st.sampled_from(["pool", "zone"]), NAMES),
                "env": st.just([{"name": "REGION", "value": "eu"}]),
                "serviceAccountName": NAMES,
            },
        ),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    weights = draw(st.lists(st.floats(0.5, 9), min_size=2, max_size=2))
    variants = [
        {"model": model, "weight": weight} for model, weight in zip("ab", weights, strict=True)
    ]
    return make_document(
        {
            "metadata.name": draw(NAMES),
            "spec.deployment": draw(DEPLOYMENTS),
            "spec.steps[0].split.variants": variants,
            "spec.suspend": draw(st.booleans()),
        }
    )


def built(document: Document) -> list[Object]:
    return objects_of(*decided(document, facts=FACTS))


@given(documents())
def test_the_same_manifest_gives_the_same_objects_and_stays_as_it_is(document: Document) -> None:
    before = copy.deepcopy(document)
    assert plain(built(document)) == plain(built(document))
    assert document == before


@given(documents())
def test_building_leaves_what_was_decided_as_it_is(document: Document) -> None:
    seen, decision = decided(document, facts=FACTS)
    before = copy.deepcopy(decision)
    first = plain(objects_of(seen, decision))
    assert decision == before
    assert plain(objects_of(seen, decision)) == first


@given(documents())
def test_every_object_has_an_owner_labels_and_a_name_that_fits(document: Document) -> None:
    name = document["metadata"]["name"]
    for one in built(document):
        head = one["metadata"]
        assert len(head["name"]) <= 63
        assert head["name"].startswith(name)
        assert head["labels"]["app.kubernetes.io/managed-by"] == "tiltyard"
        assert [owner["controller"] for owner in head["ownerReferences"]] == [True]
        assert all(len(label) <= 63 for label in head["labels"].values())


@given(documents(), documents())
def test_two_pipelines_never_share_a_name(first: Document, second: Document) -> None:
    if first["metadata"]["name"] == second["metadata"]["name"]:
        second["metadata"]["name"] = f"x{first['metadata']['name'][:49]}"
    names = [
        {(one["kind"], one["metadata"]["name"]) for one in built(document)}
        for document in (first, second)
    ]
    assert names[0].isdisjoint(names[1])


@given(NAMES, NAMES, HASHES, HASHES)
@pytest.mark.parametrize("derived", [plan_name, resolve_name, revision_name])
def test_derived_names_tell_their_owners_apart(
    derived: Any,
    first: str,
    second: str,
    one: str,
    other: str,
) -> None:
    assert len(derived(first, one)) <= 63
    if first != second:
        assert derived(first, one) != derived(second, other)
    assert routing_name(first) != derived(second, other)
    found = DERIVED.fullmatch(derived(first, one))
    assert found
    assert found["owner"] == first


@given(documents())
def test_defaults_and_other_spellings_are_no_drift(document: Document) -> None:
    for one in built(document):
        live = as_the_server_has_it(one)
        assert covers(live, one)


@given(documents(), st.data())
def test_every_leaf_that_changes_is_drift(document: Document, data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(built(document)))
    live = json.loads(json.dumps(one))
    parent, key = data.draw(st.sampled_from(sorted(leaves(live), key=lambda leaf: str(leaf[1]))))
    parent[key] = "changed by somebody"
    assert not covers(live, one)


@given(st.integers(1, 10**6))
def test_quantities_are_compared_by_value(number: int) -> None:
    assert amount(f"{number}Gi") == amount(f"{number * 1024}Mi")
    assert amount(f"{number}") == amount(f"{number * 1000}m")
    assert amount(f"{number}k") == amount(f"{number * 1000}")
    assert amount("none") != amount(f"{number}")


def as_the_server_has_it(obj: Object) -> Object:
    """Add defaults, other people's fields and entries; spell quantities another way."""
    live = json.loads(json.dumps(obj))
    live["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "x"}
    live["metadata"]["labels"]["argocd.argoproj.io/instance"] = "app"
    live["status"] = {"observedGeneration": 1}
    pod = live.get("spec", {}).get("template", {}).get("spec", {})
    for container in [*pod.get("containers", []), *pod.get("initContainers", [])]:
        container["terminationMessagePath"] = "/dev/termination-log"
        cpu = container["resources"]["limits"]["cpu"]
        if cpu.endswith("000m"):
            container["resources"]["limits"]["cpu"] = cpu.removesuffix("000m")
        container.setdefault("env", []).append({"name": "INJECTED", "value": "1"})
    pod.get("containers", []).append({"name": "sidecar"})
    return live


def leaves(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a plain value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in items:
        if isinstance(inner, dict | list):
            found += leaves(inner)
        else:
            found.append((value, key))
    return found


def test_an_owner_is_written_without_blocking_its_deletion() -> None:
    reference = Owner("Pipeline", "default", "p", "u").reference
    assert reference["controller"] is True
    assert reference["blockOwnerDeletion"] is False
