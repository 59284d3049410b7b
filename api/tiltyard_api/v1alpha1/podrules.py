"""What a schema cannot say about `deployment`, checked as in `rules.py`."""

from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.v1alpha1.deployment import ONE_SIZE
from tiltyard_api.v1alpha1.pod import (
    LABEL_TAKEN,
    ONE_VALUE,
    OUR_LABELS,
    OUR_VARIABLES,
    VALUES_FROM,
    VARIABLE_TAKEN,
)
from tiltyard_api.v1alpha1.volumes import (
    OUR_PATHS,
    OUR_VOLUMES,
    PATH_TAKEN,
    VOLUME_TAKEN,
    VOLUMES,
    WHAT_IS_PROJECTED,
)
from tiltyard_api.v1alpha1.written import Data, entries, mapping, present, repeated, texts


def of_deployment(deployment: Data, path: str) -> Iterator[Fault]:
    """Every rule that a deployment breaks."""
    if present(deployment, "replicas") and present(deployment, "autoscaling"):
        yield Fault(path, ONE_SIZE)
    scaling = mapping(deployment, "autoscaling")
    fewest, most = scaling.get("min"), scaling.get("max")
    if isinstance(fewest, int) and isinstance(most, int) and fewest > most:
        yield Fault(f"{path}.autoscaling.min", f"is {fewest}, above max: lower it or raise max")
    yield from _pod(mapping(deployment, "pod"), f"{path}.pod")


def _pod(pod: Data, path: str) -> Iterator[Fault]:
    for field in ("labels", "annotations"):
        for key in mapping(pod, field):
            if key.startswith(OUR_LABELS):
                yield Fault(f"{path}.{field}.{key}", LABEL_TAKEN)
    for field, by in (
        ("env", "name"),
        ("volumes", "name"),
        ("volumeMounts", "mountPath"),
        ("imagePullSecrets", "name"),
    ):
        yield from repeated(pod, field, by, path)
    for index, variable in entries(pod, "env"):
        yield from _variable(variable, f"{path}.env[{index}]")
    for index, volume in entries(pod, "volumes"):
        yield from _volume(volume, f"{path}.volumes[{index}]")
    volumes = {name for _, volume in entries(pod, "volumes") for name in texts(volume, "name")}
    for index, mount in entries(pod, "volumeMounts"):
        yield from _mount(mount, volumes, f"{path}.volumeMounts[{index}]")


def _variable(variable: Data, path: str) -> Iterator[Fault]:
    if any(name.startswith(OUR_VARIABLES) for name in texts(variable, "name")):
        yield Fault(f"{path}.name", VARIABLE_TAKEN)
    if present(variable, "value") and present(variable, "valueFrom"):
        yield Fault(path, ONE_VALUE)
    source = variable.get("valueFrom")
    if isinstance(source, dict):
        yield from _one_kind(source, VALUES_FROM, f"{path}.valueFrom")


def _volume(volume: Data, path: str) -> Iterator[Fault]:
    if any(name.startswith(OUR_VOLUMES) for name in texts(volume, "name")):
        yield Fault(f"{path}.name", VOLUME_TAKEN)
    yield from _one_kind(volume, VOLUMES, path)
    for index, source in entries(mapping(volume, "projected"), "sources"):
        yield from _one_kind(source, WHAT_IS_PROJECTED, f"{path}.projected.sources[{index}]")


def _mount(mount: Data, volumes: set[str], path: str) -> Iterator[Fault]:
    for name in texts(mount, "name"):
        if name not in volumes:
            yield Fault(f"{path}.name", f"volumes does not list {name!r}: add it there")
    for where in texts(mount, "mountPath"):
        if any(f"{where}/".startswith(f"{ours}/") for ours in OUR_PATHS) or any(
            f"{ours}/".startswith(f"{where}/") for ours in OUR_PATHS
        ):
            yield Fault(f"{path}.mountPath", PATH_TAKEN)


def _one_kind(parent: Data, kinds: tuple[str, ...], path: str) -> Iterator[Fault]:
    there = [kind for kind in kinds if present(parent, kind)]
    if len(there) != 1:
        found = " and ".join(there) or "none"
        yield Fault(path, f"has {found}: give exactly one of {', '.join(kinds)}")
