"""Tiltyard for people: the Python SDK and the command line.

Nothing is imported before it is used: the command line answers quickly, and neither pandas nor
pyarrow need be there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiltyard.client import Client
    from tiltyard.deployment import DeploymentConfigBuilder
    from tiltyard.failure import (
        EntityNotFoundError,
        Failure,
        InferenceError,
        InferenceTimeoutError,
    )
    from tiltyard.framework import Framework
    from tiltyard.modelversions import Model, ModelVersion
    from tiltyard.pipelines import Pipeline
    from tiltyard.stores import BucketStore, FolderStore
    from tiltyard.workspaces import Workspace

__all__ = [
    "BucketStore",
    "Client",
    "DeploymentConfigBuilder",
    "EntityNotFoundError",
    "Failure",
    "FolderStore",
    "Framework",
    "InferenceError",
    "InferenceTimeoutError",
    "Model",
    "ModelVersion",
    "Pipeline",
    "Workspace",
]

_WHERE = {
    "BucketStore": "stores",
    "Client": "client",
    "DeploymentConfigBuilder": "deployment",
    "EntityNotFoundError": "failure",
    "Failure": "failure",
    "FolderStore": "stores",
    "Framework": "framework",
    "InferenceError": "failure",
    "InferenceTimeoutError": "failure",
    "Model": "modelversions",
    "ModelVersion": "modelversions",
    "Pipeline": "pipelines",
    "Workspace": "workspaces",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'tiltyard' has no attribute {name!r}")
    return getattr(import_module(f"tiltyard.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
