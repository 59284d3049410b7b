"""What Argo CD says of Pipelines and Models, by the scripts that we ship."""

from typing import Any

import pytest

from argocd import health
from tiltyard_api.names import API_VERSION

Object = dict[str, Any]

CASES: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "serves": ("Healthy", [("Ready", "True", "Serving")]),
    "rolls": ("Progressing", [("Ready", "False", "Rolling"), ("Reconciling", "True", "Rolling")]),
    "a pod is silent": ("Progressing", [("Ready", "Unknown", "PodSilent")]),
    "bad model": ("Degraded", [("Ready", "False", "NotAModel"), ("Stalled", "True", "NotAModel")]),
    "stalled though it serves": (
        "Degraded",
        [
            ("Available", "True", "Serving"),
            ("Stalled", "True", "NotAModel"),
            ("Ready", "False", "NotAModel"),
        ],
    ),
    "rolled back": (
        "Degraded",
        [("Ready", "False", "RolledBack"), ("Stalled", "True", "RolledBack")],
    ),
    "suspended": ("Suspended", [("Ready", "False", "Suspended")]),
    "no pods are wanted": ("Suspended", [("Ready", "False", "ScaledToZero")]),
    "a ramp moves": (
        "Healthy",
        [("Ready", "True", "Serving"), ("CanaryHealthy", "True", "Ramping")],
    ),
    "waits for promotion": (
        "Suspended",
        [("Ready", "True", "Serving"), ("CanaryHealthy", "True", "AwaitingPromotion")],
    ),
    "nothing said yet": ("Progressing", []),
}


def an_object(conditions: list[tuple[str, str, str]], kind: str = "Pipeline") -> Object:
    told = [
        {"type": name, "status": status, "reason": reason, "message": f"{name}: {reason}"}
        | {"observedGeneration": 3}
        for name, status, reason in conditions
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "p", "generation": 3},
        "status": {"observedGeneration": 3, "conditions": told},
    }


@pytest.mark.parametrize("case", CASES)
def test_health_of_a_pipeline(case: str) -> None:
    expected, conditions = CASES[case]
    status, message = health(an_object(conditions))
    assert status == expected
    assert message


@pytest.mark.parametrize("case", ["serves", "rolls", "bad model", "nothing said yet"])
def test_health_of_a_model(case: str) -> None:
    expected, conditions = CASES[case]
    assert health(an_object(conditions, "Model"))[0] == expected


@pytest.mark.parametrize("kind", ["Pipeline", "Model"])
@pytest.mark.parametrize("case", CASES)
def test_a_status_of_an_older_spec_says_nothing(case: str, kind: str) -> None:
    stale = an_object(CASES[case][1], kind)
    stale["metadata"]["generation"] = 4
    assert health(stale)[0] == "Progressing"
    stale["status"]["observedGeneration"] = 4  # and conditions that lag behind
    assert health(stale)[0] == "Progressing"


@pytest.mark.parametrize("kind", ["Pipeline", "Model"])
@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}])
def test_without_a_status_it_is_in_progress(kind: str, status: Object | None) -> None:
    fresh = an_object([], kind)
    del fresh["status"]
    if status is not None:
        fresh["status"] = status
    assert health(fresh)[0] == "Progressing"
