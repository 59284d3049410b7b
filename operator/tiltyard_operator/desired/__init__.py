"""What a Pipeline shall own: built by functions that only compute.

Objects are plain dictionaries that hold exactly the fields that are ours, in the order in which
they are applied: whatever a pod needs is there before the pod.
"""

from dataclasses import dataclass

from tiltyard_api.routing import RoutingTable
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_operator.desired.access import role, role_binding, service_account
from tiltyard_operator.desired.config import Bundle, plan_config, routing_config
from tiltyard_operator.desired.metadata import Owner, sealed
from tiltyard_operator.desired.monitoring import pod_monitor
from tiltyard_operator.desired.network import network_policy, service
from tiltyard_operator.desired.pod import override_of
from tiltyard_operator.desired.scaling import autoscaler, disruption_budget
from tiltyard_operator.desired.workload import Cause, account_of, deployment, marked, own_spec
from tiltyard_operator.kinds import (
    AUTOSCALER,
    NETWORK_POLICY,
    POD_MONITOR,
    Kind,
    Object,
)
from tiltyard_operator.settings import Settings

OPTIONAL: tuple[Kind, ...] = (AUTOSCALER, NETWORK_POLICY, POD_MONITOR)
"""Kinds of which a Pipeline has one object or none; each is named as the Pipeline."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that the objects of a Pipeline are built from."""

    owner: Owner
    pipeline: Pipeline
    """As its user wrote it, with the Models that it refers to in place."""

    bundle: Bundle
    tables: tuple[RoutingTable, ...]
    replicas: int | None
    """None: an autoscaler says."""

    cause: Cause
    """What pods are replaced for, should they be."""

    monitored: bool
    """Whether the cluster knows PodMonitors."""


def build(wanted: Wanted, settings: Settings) -> list[Object]:
    """Build everything that is named after the Pipeline, the Deployment last."""
    owner, pipeline = wanted.owner, wanted.pipeline
    account = account_of(owner, override_of(pipeline.spec.deployment))
    scaled = pipeline.spec.deployment.autoscaling
    objects = [
        plan_config(owner, wanted.bundle),
        routing_config(owner, wanted.tables),
        role(owner),
        role_binding(owner, account),
        service(owner),
        disruption_budget(owner),
    ]
    if account == owner.name:
        objects.append(service_account(owner))
    if settings.network_policy:
        here, watchers = settings.pod_namespace, settings.monitoring_labels
        objects.append(network_policy(owner, here, watchers))
    if settings.pod_monitor and wanted.monitored:
        objects.append(pod_monitor(owner))
    if scaled and not pipeline.spec.suspend:
        objects.append(autoscaler(owner, scaled))
    pods = deployment(owner, pipeline, wanted.bundle, wanted.replicas, settings)
    objects.append(marked(pods, wanted.cause, own_spec(pipeline)))
    return [sealed(one) for one in objects]


def superfluous(objects: list[Object]) -> list[Kind]:
    """Kinds that a Pipeline could have an object of, and shall not."""
    there = {one["kind"] for one in objects}
    return [kind for kind in OPTIONAL if kind.kind not in there]
