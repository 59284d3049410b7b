"""The Deployment: engine pods, replaced without losing a request."""

from collections.abc import Mapping
from enum import StrEnum

from tiltyard_api.artifacts import ArtifactList
from tiltyard_api.names import GROUP, HASH_CHARACTERS, MANAGEMENT_PORT
from tiltyard_api.v1alpha1.models import Framework
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.volumes import OUR_VOLUMES
from tiltyard_operator.desired.config import Bundle, routing_key
from tiltyard_operator.desired.fetching import options
from tiltyard_operator.desired.ids import id_arguments, id_mounts, id_volumes
from tiltyard_operator.desired.metadata import (
    APPLIED,
    PLAN_LABEL,
    Owner,
    fingerprint,
    head,
    labels,
    plan_name,
    routing_name,
    selector,
)
from tiltyard_operator.desired.network import PORTS
from tiltyard_operator.desired.pod import (
    CONTAINER_SECURITY,
    Sources,
    cpu_quantity,
    environment,
    mount,
    override_of,
    pod_fields,
    resources,
    scratch,
)
from tiltyard_operator.desired.records import sink_mounts, sink_volumes, state_size
from tiltyard_operator.kinds import DEPLOYMENT, Object
from tiltyard_operator.settings import Settings

ENGINE_CONTAINER = "engine"
FETCH_CONTAINER = "fetch"

PLAN_FOLDER = "/etc/tiltyard/plan"
ROUTING_FOLDER = "/etc/tiltyard/routing"
MODELS_FOLDER = "/var/lib/tiltyard/models"
STATE_FOLDER = "/var/lib/tiltyard/state"
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path

CAUSE = f"{GROUP}/cause"
"""Annotation: what the pods were last replaced for."""

OWN_SPEC = f"{GROUP}/spec"
"""Annotation: hash of that part of the user's spec which pods are made of."""

TEMPLATE = f"{GROUP}/template"
"""Annotation: hash of the pod template as we wrote it."""

STOP_DELAY = 5
"""Seconds between the decision to end a pod and its SIGTERM, while load balancers learn of it."""

GRACE = 45
"""Seconds from that decision to SIGKILL: the delay, the engine's own grace of 30 s, and a rest."""

STEADY = 5
"""Seconds that a new pod must stay ready before the next old one goes."""

START_SECONDS = 600
"""How long models may take to load and warm up, and a rollout to get ahead."""

MIB = 2**20
REQUIREMENTS = 4096
"""MiB that the packages of one Python model may take."""


def deployment(
    owner: Owner, pipeline: Pipeline, bundle: Bundle, replicas: int | None, settings: Settings
) -> Object:
    """Give the engine pods of a Pipeline.

    Args:
        owner: the Pipeline.
        pipeline: the same, with everything that it refers to in place.
        bundle: what its pods are started with.
        replicas: how many; None: somebody else says.
        settings: of the operator.

    """
    spec: Object = {
        "selector": {"matchLabels": selector(owner.name)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "minReadySeconds": STEADY,
        "progressDeadlineSeconds": START_SECONDS,
        "revisionHistoryLimit": 2,
        "template": template(owner, pipeline, bundle, settings),
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return head(DEPLOYMENT, owner, owner.name, "engine") | {"spec": spec}


class Cause(StrEnum):
    """What pods are replaced for."""

    SPEC = "spec"
    """The user changed the Pipeline."""

    SHARED = "shared"
    """Anything else: another engine, a Model that several Pipelines use."""


def marked(obj: Object, cause: Cause, own_spec: str) -> Object:
    """Write into a Deployment why its pods are as they are."""
    annotations = {
        CAUSE: cause.value,
        OWN_SPEC: own_spec,
        TEMPLATE: fingerprint(obj["spec"]["template"]),
    }
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def as_it_was(obj: Object, live: Object) -> Object:
    """Return a Deployment that leaves the pods as they are."""
    said = live["metadata"].get("annotations") or {}
    kept = {key: said[key] for key in (CAUSE, OWN_SPEC, TEMPLATE, APPLIED) if key in said}
    return {
        **obj,
        "metadata": {**obj["metadata"], "annotations": kept},
        "spec": {**obj["spec"], "template": live["spec"]["template"]},
    }


def own_spec(pipeline: Pipeline) -> str:
    """Hash of the part of a spec, as its user wrote it, that pods are made of.

    Defaults are left out: a new version of ours may bring more fields that have some.
    """
    spec = pipeline.spec.model_dump(mode="json", exclude_defaults=True)
    spec.pop("suspend", None)
    for field in ("replicas", "autoscaling"):
        spec.get("deployment", {}).pop(field, None)
    spec["models"] = [
        {"name": one["name"], "model_ref": one["model_ref"]} if "model_ref" in one else one
        for one in spec["models"]
    ]
    for step in spec["steps"]:
        for variant in step.get("split", {}).get("variants", ()):
            variant.pop("weight", None)
        for challenger in step.get("shadow", {}).get("challengers", ()):
            challenger.pop("sample", None)
        for field in ("ramp", "guards"):
            step.get("canary", {}).pop(field, None)
    for field in ("alpha", "min_units"):
        spec.get("experiment", {}).pop(field, None)
    for metric in spec.get("experiment", {}).get("metrics", ()):
        for field in ("better", "goal"):
            metric.pop(field, None)
    return fingerprint(spec)


def template(owner: Owner, pipeline: Pipeline, bundle: Bundle, settings: Settings) -> Object:
    """Give the pod: it fetches, then serves. Whatever differs here starts pods anew."""
    override = override_of(pipeline.spec.deployment)
    ours = labels(owner.name, "engine") | {PLAN_LABEL: bundle.hash[:HASH_CHARACTERS]}
    metadata: Object = {"labels": {**override.get("labels", {}), **ours}}
    if override.get("annotations"):
        metadata["annotations"] = override["annotations"]
    return {
        "metadata": metadata,
        "spec": {
            **pod_fields(override),
            "serviceAccountName": account_of(owner, override),
            "terminationGracePeriodSeconds": GRACE,
            "initContainers": [_fetch(pipeline, bundle, override, settings)],
            "containers": [_engine(owner, pipeline, bundle, override, settings)],
            "volumes": [
                *_volumes(owner, bundle),
                *id_volumes(pipeline),
                *override.get("volumes", ()),
            ],
        },
    }


def account_of(owner: Owner, override: Mapping[str, object]) -> str:
    """Service account of the pods: the user's where one is named, else ours."""
    return str(override.get("serviceAccountName", owner.name))


def _fetch(pipeline: Pipeline, bundle: Bundle, override: Object, settings: Settings) -> Object:
    arguments = ["artifacts", "--list", f"{PLAN_FOLDER}/artifacts.json", "--into", MODELS_FOLDER]
    return {
        **_container(FETCH_CONTAINER, pipeline, override, settings),
        "command": ["python", "-m", "tiltyard_engine.fetch", *arguments, *options(settings)],
        "volumeMounts": [
            mount("plan", PLAN_FOLDER, read_only=True),
            mount("models", MODELS_FOLDER),
            mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
            *_sources(bundle).mounts(),
            *override.get("volumeMounts", ()),
        ],
    }


def _engine(
    owner: Owner, pipeline: Pipeline, bundle: Bundle, override: Object, settings: Settings
) -> Object:
    files = {
        "--plan": f"{PLAN_FOLDER}/plan.json",
        "--routing": f"{ROUTING_FOLDER}/{routing_key(bundle.plan_hash)}",
        "--artifacts": MODELS_FOLDER,
        "--state": STATE_FOLDER,
        "--watch-configmap": f"{owner.namespace}/{routing_name(owner.name)}",
        "--api-token": f"{TOKEN_FOLDER}/token",
        "--api-ca": f"{TOKEN_FOLDER}/ca.crt",
        "--grpc-port": str(PORTS["grpc"]),
        **id_arguments(pipeline),
    }
    arguments = [word for pair in files.items() for word in pair]
    return {
        **_container(ENGINE_CONTAINER, pipeline, override, settings),
        "command": ["python", "-m", "tiltyard_engine", *arguments],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in PORTS.items()
        ],
        "startupProbe": _probe("/readyz", period=1, failures=START_SECONDS),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": STOP_DELAY}}},
        "volumeMounts": [
            mount("plan", PLAN_FOLDER, read_only=True),
            mount("routing", ROUTING_FOLDER, read_only=True),
            mount("models", MODELS_FOLDER, read_only=True),
            mount("state", STATE_FOLDER),
            mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
            mount("token", TOKEN_FOLDER, read_only=True),
            *id_mounts(pipeline),
            *sink_mounts(bundle.plan),
            *override.get("volumeMounts", ()),
        ],
    }


def _container(name: str, pipeline: Pipeline, override: Object, settings: Settings) -> Object:
    wanted = pipeline.spec.deployment
    return {
        "name": name,
        "image": settings.engine_image,
        "imagePullPolicy": settings.engine_pull_policy,
        "resources": resources(cpu_quantity(wanted.cpus), wanted.memory),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **environment(override),
    }


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": MANAGEMENT_PORT, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _volumes(owner: Owner, bundle: Bundle) -> list[Object]:
    return [
        {"name": f"{OUR_VOLUMES}plan", "configMap": {"name": plan_name(owner.name, bundle.hash)}},
        {"name": f"{OUR_VOLUMES}routing", "configMap": {"name": routing_name(owner.name)}},
        scratch("models", _models_size(bundle.artifacts)),
        scratch("state", state_size(bundle.plan)),
        scratch("tmp", "1Gi"),
        {"name": f"{OUR_VOLUMES}token", "projected": {"defaultMode": 0o440, "sources": _token()}},
        *_sources(bundle).volumes(),
        *sink_volumes(bundle.plan),
    ]


def _sources(bundle: Bundle) -> Sources:
    fetched = bundle.artifacts.artifacts
    return Sources.of((one.uri for one in fetched), (one.secret for one in fetched))


def _models_size(artifacts: ArtifactList) -> str:
    """Room for every artifact twice, as archives are unpacked, and for what models require."""
    python = sum(one.framework is Framework.PYTHON for one in artifacts.artifacts)
    total = sum(one.size for one in artifacts.artifacts)
    return f"{2 * total // MIB + 64 + REQUIREMENTS * python}Mi"


def _token() -> list[Object]:
    """What the engine watches its routing with: an account of an hour, bound to the pod."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    certificate = {"key": "ca.crt", "path": "ca.crt"}
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [certificate]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
