"""Tiltyard in a cluster as people install it: the plain manifests, with the images of this tree."""

from typing import Any

import yaml

from cluster.node.images import name_of
from kubectl import Kubectl
from operators import CONFIG

Object = dict[str, Any]

NAMESPACE = "tiltyard"


def install(kubectl: Kubectl) -> None:
    """Apply the manifests and wait until the operator is ready."""
    rendered = kubectl("kustomize", str(CONFIG / "cluster"))
    objects = [_with_our_images(one) for one in yaml.safe_load_all(rendered)]
    text = yaml.safe_dump_all(objects)
    kubectl("apply", "--server-side", "--filename=-", stdin=text)
    kubectl("rollout", "status", "deployment/tiltyard-operator", f"--namespace={NAMESPACE}")


def _with_our_images(obj: Object) -> Object:
    if obj["kind"] != "Deployment":
        return obj
    (container,) = obj["spec"]["template"]["spec"]["containers"]
    container["image"] = name_of("operator")
    for variable in container["env"]:
        if variable["name"] == "TILTYARD_ENGINE_IMAGE":
            variable["value"] = name_of("engine")
    return obj
