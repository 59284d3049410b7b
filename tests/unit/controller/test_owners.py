"""Whose an object is, whatever somebody did to its labels and references."""

from typing import Any

import pytest

from tiltyard_operator.kinds import MODEL, PIPELINE
from tiltyard_operator.owners import owners
from tiltyard_operator.queue import Key

HASH = "0123456789"


def obj(name: str, label: str | None = None, *references: tuple[str, str, str]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": label} if label else None
    refs = [{"apiVersion": version, "kind": kind, "name": to} for version, kind, to in references]
    head = {"namespace": "shop", "name": name, "labels": labels, "ownerReferences": refs}
    return {"metadata": head}


OURS = "tiltyard.dev/v1alpha1"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (obj("p-routing", "p", (OURS, "Pipeline", "p")), {"p"}),
        (obj("p-routing", None, (OURS, "Pipeline", "p")), {"p"}),
        (obj("p-routing", "p"), {"p"}),
        (obj("whatever", "other", (OURS, "Pipeline", "p")), {"p", "other"}),
        (obj("p-5d9c-x", "p", ("apps/v1", "ReplicaSet", "p-5d9c")), {"p"}),
        (obj("p"), {"p"}),
        (obj("p-routing"), {"p"}),
        (obj("p-evidence"), {"p"}),
        (obj(f"p-plan-{HASH}"), {"p"}),
        (obj(f"p-r-{HASH}"), {"p"}),
        (obj("p-routing-routing"), {"p-routing"}),
        (obj("kube-root-ca.crt", None, ("example.org/v1", "Pipeline", "p")), {"kube-root-ca.crt"}),
    ],
)
def test_the_pipeline_is_found(found: dict[str, Any], expected: set[str]) -> None:
    assert owners(found) == {Key(PIPELINE, "shop", name) for name in expected}


def test_a_job_of_a_model_is_the_models() -> None:
    found = owners(obj(f"m-r-{HASH}", None, (OURS, "Model", "m")))
    assert found == {Key(MODEL, "shop", "m")}
