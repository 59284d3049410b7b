"""Makers of manifests and models that name only what matters to a test."""

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.pipeline import Pipeline

Document = dict[str, Any]

PRICES = """
apiVersion: tiltyard.dev/v1alpha1
kind: Pipeline
metadata: {name: prices}
spec:
  models:
    - {name: a, framework: onnx, source: {uri: file:a.onnx}}
    - {name: b, framework: onnx, source: {uri: file:b.onnx}}
    - {name: c, framework: onnx, source: {uri: file:c.onnx}}
  steps:
    - name: price
      split:
        hashKey: {field: user}
        variants: [{model: a, weight: 2}, {model: b, weight: 1}]
    - {name: convert, model: c}
  deployment: {replicas: 2, cpus: 0.5, memory: 1Gi}
"""
"""A valid manifest: a split of a and b, then c."""

SHARED = """
apiVersion: tiltyard.dev/v1alpha1
kind: Model
metadata: {name: shared}
spec:
  framework: onnx
  source: {uri: file:shared.onnx}
  threads: 4
"""
"""A valid Model."""

_TENSOR = re.compile(r"(\S+) ([^\s\[]+)\[([^\]]*)\]")


def make_document(
    changes: Mapping[str, Any] | None = None, remove: Sequence[str] = (), of: str = PRICES
) -> Document:
    """Give the manifest `PRICES`, or another, with fields changed or removed by their paths."""
    document: Document = yaml.safe_load(of)
    for path, value in (changes or {}).items():
        parent, key = _place(document, path)
        parent[key] = copy.deepcopy(value)
    for path in remove:
        parent, key = _place(document, path)
        del parent[key]
    return document


def _place(document: Document, path: str) -> tuple[Any, Any]:
    """Container and key of the field at a path such as `spec.steps[0].name`."""
    parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    parent: Any = document
    for part in parts[:-1]:
        parent = parent[part]
    return parent, parts[-1]


def make_pipeline(steps: Sequence[Document] | None = None, **spec: object) -> Pipeline:
    """Give `PRICES` with other steps or other fields of its spec."""
    changes = {f"spec.{field}": value for field, value in spec.items()}
    if steps is not None:
        changes["spec.steps"] = list(steps)
    return read_pipeline(make_document(changes))


def make_model(name: str = "shared", **spec: object) -> Model:
    """Give the Model `SHARED` with another name or other fields of its spec."""
    changes = {f"spec.{field}": value for field, value in spec.items()}
    return read_model(make_document({"metadata.name": name, **changes}, of=SHARED))


def make_resolved(text: str = "x float32[?,4] -> y float32[?,1]", seed: str = "") -> ResolvedModel:
    """Give an artifact with the signature `INPUT TYPE[SHAPE], ... -> OUTPUT TYPE[SHAPE], ...`."""
    inputs, _, outputs = text.partition("->")
    return ResolvedModel(
        digest=hashlib.sha256(f"{text}{seed}".encode()).hexdigest(),
        size=len(text),
        inputs=tuple(_tensors(inputs)),
        outputs=tuple(_tensors(outputs)),
    )


def _tensors(text: str) -> list[GraphTensor]:
    return [
        GraphTensor(
            name=name,
            type=kind,
            shape=tuple(-1 if n == "?" else int(n) for n in shape.split(",") if n),
        )
        for name, kind, shape in _TENSOR.findall(text)
    ]
