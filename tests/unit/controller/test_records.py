"""What a sink of records gives to the pods of a Pipeline."""

from typing import Any

import pytest

from makers import Document, make_document, make_resolved
from sights import decided, objects_of
from tiltyard_api.artifacts import SECRETS
from tiltyard_operator.kinds import Object

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def pod_of(changes: Document) -> Object:
    document = make_document(changes)
    found: Object = objects_of(*decided(document, facts=FACTS))[-1]["spec"]["template"]["spec"]
    return found


def sink(uri: str, **more: str) -> Document:
    return {"spec.records": {"sink": {"uri": uri, **more}}}


def mounts(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["mountPath"] for one in container["volumeMounts"]}


def test_the_secret_of_a_sink_is_given_to_the_engine_alone() -> None:
    pod = pod_of(sink("s3://kept/here", secretName="keys"))
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["tiltyard-records"]["secret"] == {"secretName": "keys", "defaultMode": 0o440}
    assert mounts(pod["containers"][0])["tiltyard-records"] == f"{SECRETS}/keys"
    assert "tiltyard-records" not in mounts(pod["initContainers"][0])
    assert pod["containers"][0]["volumeMounts"][-1]["readOnly"] is True


@pytest.mark.parametrize(
    ("changes", "room"),
    [
        ({}, "64Mi"),
        (sink("stdout:"), "64Mi"),
        (sink("file:///mnt/records"), "64Mi"),
        (sink("s3://kept"), "704Mi"),
    ],
)
def test_what_waits_for_a_store_has_room(changes: Document, room: str) -> None:
    pod = pod_of(changes)
    (state,) = [one for one in pod["volumes"] if one["name"] == "tiltyard-state"]
    assert state["emptyDir"]["sizeLimit"] == room
    assert not [one for one in pod["volumes"] if one["name"] == "tiltyard-records"]
