import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import SHARED, make_document
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_model, read_pipeline

Row = dict[str, Any]

HERE = Path(__file__).parent
TABLE: list[Row] = yaml.safe_load((HERE / "bad_manifests.yaml").read_text())
PODS: list[Row] = yaml.safe_load((HERE / "bad_pods.yaml").read_text())
MODELS: list[Row] = yaml.safe_load((HERE / "bad_models.yaml").read_text())


def faults_of(document: object, read: Callable[[object], object] = read_pipeline) -> list[str]:
    with pytest.raises(InvalidManifest) as refused:
        read(document)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("row", TABLE, ids=[row["says"] for row in TABLE])
def test_every_fault_is_named_with_its_field_and_the_remedy(row: Row) -> None:
    changed = make_document(row.get("set"), row.get("remove", ()))
    assert faults_of(row.get("document", changed)) == row["faults"]


@pytest.mark.parametrize("row", PODS, ids=[row["says"] for row in PODS])
def test_every_fault_of_a_pod_is_named_with_its_field_and_the_remedy(row: Row) -> None:
    document = make_document({"spec.deployment.pod": row["pod"]})
    assert faults_of(document) == [f"spec.deployment.pod.{fault}" for fault in row["faults"]]


@pytest.mark.parametrize("row", MODELS, ids=[row["says"] for row in MODELS])
def test_every_fault_of_a_model_is_named_with_its_field_and_the_remedy(row: Row) -> None:
    document = make_document(row.get("set"), row.get("remove", ()), of=SHARED)
    assert faults_of(document, read_model) == row["faults"]


def test_the_table_is_long_enough_and_names_no_case_twice() -> None:
    assert len({row["says"] for row in TABLE}) == len(TABLE) >= 60


@pytest.mark.parametrize(
    ("list_path", "entry", "most"),
    [
        ("spec.models", {"framework": "onnx", "source": {"uri": "file:x"}}, 32),
        ("spec.steps", {"model": "a"}, 16),
    ],
)
def test_a_list_beyond_its_bound_is_refused(list_path: str, entry: Row, most: int) -> None:
    names = ["a", "b", "c", *(f"n{index}" for index in range(most - 2))]
    document = make_document({list_path: [{"name": name, **entry} for name in names]})
    fault = f"{list_path}: has {most + 1} entries; it must have at most {most}"
    assert fault in faults_of(document)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param(10**5000, "integer string conversion", id="an integer of 5,000 digits"),
        pytest.param("\ud800", "surrogates not allowed", id="half a character"),
        pytest.param({date(2024, 1, 1): 1}, "keys must be", id="a date as a key"),
    ],
)
def test_what_json_cannot_hold_is_refused_as_a_whole(value: object, why: str) -> None:
    (fault,) = faults_of(make_document({"spec.deployment": value}))
    assert fault.startswith("(document): holds what JSON cannot (")
    assert why in fault


def test_a_document_that_contains_itself_is_refused() -> None:
    document = make_document()
    document["spec"]["deployment"] = document
    (fault,) = faults_of(document)
    assert re.match(r"\(document\): holds what JSON cannot \(Circular reference", fault)


@pytest.mark.parametrize("depth", [500, 10**5])
def test_a_document_nested_too_deep_is_refused(depth: int) -> None:
    value: object = 1
    for _ in range(depth):
        value = [value]
    (fault,) = faults_of(make_document() | {"spec": value})
    assert fault.startswith("(document): ")
    assert "recursion" in fault


def test_a_long_value_is_shown_shortened() -> None:
    (fault,) = faults_of(make_document({"spec": ["x" * 999]}))
    assert len(fault) < 200
    assert fault.endswith("xxx...")
