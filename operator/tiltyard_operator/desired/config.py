"""What is kept in ConfigMaps: plans, which never change, routing tables and counts, which do."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tiltyard_api.artifacts import ArtifactList
from tiltyard_api.base import canonical
from tiltyard_api.evidence import CanaryLedger
from tiltyard_api.experimentledger import ExperimentLedger
from tiltyard_api.packing import packed, unpacked
from tiltyard_api.plan import Plan
from tiltyard_api.routing import RoutingTable
from tiltyard_api.shadowledger import SHADOWS_KEY, ShadowLedger
from tiltyard_operator.desired.metadata import (
    Owner,
    evidence_name,
    head,
    plan_name,
    routing_name,
)
from tiltyard_operator.kinds import CONFIG_MAP, Object

PLAN_KEY = "plan.json"
ARTIFACTS_KEY = "artifacts.json"
EXPERIMENT_KEY = "experiment.json.zlib"


@dataclass(frozen=True)
class Bundle:
    """Everything that a pod is started with: a plan and where the models of it come from."""

    plan: Plan
    artifacts: ArtifactList

    @cached_property
    def plan_hash(self) -> str:
        """Hash of the plan alone: what engines and routing tables call it by."""
        return self.plan.hash

    @cached_property
    def hash(self) -> str:
        """SHA-256 of both: another source of the same bytes is another bundle of the same plan."""
        return hashlib.sha256(canonical(self.plan) + b"\n" + canonical(self.artifacts)).hexdigest()


def plan_config(owner: Owner, bundle: Bundle) -> Object:
    """Give ConfigMap of a plan. Its name says its content, so that nobody need ever change it."""
    obj = head(CONFIG_MAP, owner, plan_name(owner.name, bundle.hash), "plan")
    data = {
        PLAN_KEY: canonical(bundle.plan).decode(),
        ARTIFACTS_KEY: canonical(bundle.artifacts).decode(),
    }
    return obj | {"immutable": True, "data": data}


def read_bundle(obj: Object) -> Bundle | None:
    """Read a plan back; None where the ConfigMap holds none."""
    data = obj.get("data") or {}
    try:
        return Bundle(
            Plan.model_validate_json(data[PLAN_KEY]),
            ArtifactList.model_validate_json(data[ARTIFACTS_KEY]),
        )
    except (KeyError, ValueError):
        return None


def routing_config(owner: Owner, tables: Iterable[RoutingTable]) -> Object:
    """Give ConfigMap of the routing tables: one of each plan that has pods."""
    obj = head(CONFIG_MAP, owner, routing_name(owner.name), "routing")
    return obj | {"data": {routing_key(one.plan): canonical(one).decode() for one in tables}}


def routing_key(plan_hash: str) -> str:
    """Key of a plan's table."""
    return f"{plan_hash}.json"


def read_tables(obj: Object | None) -> tuple[RoutingTable, ...]:
    """Read the tables back; what is damaged counts as missing."""
    tables = []
    for key, text in ((obj or {}).get("data") or {}).items():
        try:
            table = RoutingTable.model_validate_json(text)
        except ValueError:
            continue
        if key == routing_key(table.plan):
            tables.append(table)
    return tuple(tables)


def evidence_config(
    owner: Owner,
    ledgers: Mapping[str, CanaryLedger],
    experiment: ExperimentLedger | None = None,
    shadows: ShadowLedger | None = None,
) -> Object:
    """Give ConfigMap of what was counted: of each canary by the name of its step, and of the rest.

    That is packed: it has long lists, mostly of small numbers.
    """
    obj = head(CONFIG_MAP, owner, evidence_name(owner.name), "evidence")
    data = {evidence_key(step): canonical(ledger).decode() for step, ledger in ledgers.items()}
    long = {EXPERIMENT_KEY: experiment, SHADOWS_KEY: shadows}
    binary = {key: b64encode(packed(one)).decode() for key, one in long.items() if one}
    return obj | {"data": data} | ({"binaryData": binary} if binary else {})


def read_experiment(obj: Object | None) -> ExperimentLedger | None:
    """Read feedback back; what is damaged counts as missing."""
    return unpacked(ExperimentLedger, obj, EXPERIMENT_KEY)


def evidence_key(step: str) -> str:
    """Key of a canary's counts."""
    return f"{step}.json"


def read_ledgers(obj: Object | None) -> dict[str, CanaryLedger]:
    """Read the counts back; what is damaged counts as missing."""
    ledgers = {}
    for key, text in ((obj or {}).get("data") or {}).items():
        try:
            ledgers[key.removesuffix(".json")] = CanaryLedger.model_validate_json(text)
        except ValueError:
            continue
    return ledgers
