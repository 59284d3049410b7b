"""Resolve Jobs: fetch a model, check it, load it once, and report in the termination message."""

from collections.abc import Mapping
from dataclasses import dataclass

from tiltyard_api.artifacts import TrialRequest
from tiltyard_api.base import canonical, digest
from tiltyard_api.names import GROUP, HASH_CHARACTERS
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_operator.desired.fetching import deadline, options
from tiltyard_operator.desired.metadata import (
    RESOLVE,
    RESOLVE_LABEL,
    Owner,
    head,
    labels,
    resolve_name,
)
from tiltyard_operator.desired.pod import (
    CONTAINER_SECURITY,
    Sources,
    cpu_quantity,
    environment,
    mount,
    pod_fields,
    scratch,
)
from tiltyard_operator.kinds import JOB, Object
from tiltyard_operator.settings import Settings

KEY = f"{GROUP}/resolve-key"
"""Annotation: the whole key of what a Job tries."""

ATTEMPT = f"{GROUP}/attempt"
"""Annotation: how many Jobs tried this before, and failed."""

LAST_FAILURE = f"{GROUP}/last-failure"
"""Annotation: what the one before said, so that it is still known while the next one runs."""

KEPT = 3600
"""Seconds that a finished Job stays, for others that want the same and for people to read."""

SCRATCH = "64Gi"
"""Room for one artifact: its size is what the Job is to find out."""

REPORT = "/dev/termination-log"

RESERVED = 0.25
"""Cores, at most, that a node must have free for a trial. It may use all that pods may, but need
not wait until so much is free, and on a busy node it yields to what serves."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial runs: what it may use, and what the user adds to its pod."""

    cpus: float
    memory: str
    override: Object


def place_of_models(settings: Settings) -> Place:
    """Where Models are tried, which have no `deployment` that says so."""
    pull = [{"name": name} for name in settings.resolve_pull_secrets]
    override = {"imagePullSecrets": pull} if pull else {}
    return Place(settings.resolve_cpus, settings.resolve_memory, override)


@dataclass(frozen=True, slots=True)
class Trial:
    """A model to be tried."""

    entry: ModelEntry
    attempt: int = 0
    last_failure: str = ""


def request_of(entry: ModelEntry) -> TrialRequest:
    """What is asked of a trial. The name is the same for all: it says nothing of the bytes."""
    return TrialRequest(entry=entry.model_copy(update={"name": "model"}))


def resolve_key(entry: ModelEntry) -> str:
    """Digest of all that a trial's result depends on."""
    return digest(request_of(entry))


def resolve_job(owner: Owner, trial: Trial, place: Place, settings: Settings) -> Object:
    """Give the Job of a trial. It has no account, no token, and the user's own resources."""
    key = resolve_key(trial.entry)
    marks = {**labels(owner.name, "resolve"), "app.kubernetes.io/name": RESOLVE}
    marks[RESOLVE_LABEL] = key[:HASH_CHARACTERS]
    job = head(JOB, owner, resolve_name(owner.name, key), "resolve")
    job["metadata"]["labels"] = marks
    job["metadata"]["annotations"] = {
        KEY: key,
        ATTEMPT: str(trial.attempt),
        **({LAST_FAILURE: trial.last_failure} if trial.last_failure else {}),
    }
    own = place.override
    metadata = {"labels": {**own.get("labels", {}), **marks}}
    if own.get("annotations"):
        metadata["annotations"] = own["annotations"]
    return job | {
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline(settings),
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": metadata, "spec": _pod(trial.entry, place, settings)},
        }
    }


def _pod(entry: ModelEntry, place: Place, settings: Settings) -> Object:
    sources = Sources.of([entry.source.uri], [entry.source.secret_name])
    request = canonical(request_of(entry)).decode()
    container = {
        "name": "fetch",
        "image": settings.engine_image,
        "imagePullPolicy": settings.engine_pull_policy,
        "command": ["python", "-m", "tiltyard_engine.fetch", "trial"],
        "args": ["--request", request, "--report", REPORT, *options(settings)],
        "resources": _resources(place),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePath": REPORT,
        "volumeMounts": [
            mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
            *sources.mounts(),
            *place.override.get("volumeMounts", ()),
        ],
        **environment(place.override),
    }
    return {
        **pod_fields(place.override),
        **_account(place.override),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            scratch("tmp", SCRATCH),
            *sources.volumes(),
            *place.override.get("volumes", ()),
        ],
    }


def _account(override: Mapping[str, object]) -> Object:
    """The user's account, for stores that know pods by it; its token is not mounted."""
    account = override.get("serviceAccountName")
    return {"serviceAccountName": account} if account else {}


def _resources(place: Place) -> Object:
    reserved = cpu_quantity(min(place.cpus, RESERVED))
    return {
        "requests": {"cpu": reserved, "memory": place.memory},
        "limits": {"cpu": cpu_quantity(place.cpus), "memory": place.memory},
    }
