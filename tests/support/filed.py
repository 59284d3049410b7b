"""Pipelines of a real API server whose models a test makes: they lie on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bikes import NAME

Object = dict[str, Any]


def filed(
    folder: Path, models: Mapping[str, bytes], step: Object, replicas: int, **spec: object
) -> Object:
    """Give a Pipeline of one step.

    Args:
        folder: where the models lie; one that is there already stays as it is.
        models: by name.
        step: that tries them.
        replicas: how many pods.
        **spec: other fields of it.

    """
    entries = []
    for name, model in models.items():
        file = folder / f"{name}.onnx"
        if not file.exists():
            file.write_bytes(model)
        entries.append({"name": name, "framework": "onnx", "source": {"uri": file.as_uri()}})
    deployment = {"cpus": 0.5, "memory": "1Gi", "replicas": replicas}
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": NAME},
        "spec": {"models": entries, "steps": [step], **spec, "deployment": deployment},
    }
